// SPDX-License-Identifier: Apache-2.0
import * as pulumi from "@pulumi/pulumi";
import type { Host } from "../args/host";
import { allRight, when } from "../args/validation/right";
import { filesOf } from "../install/host-files";
import { type Ended, type Installed, installSteps } from "../install/host-steps";
import { normalizeHost } from "../install/normalize";
import { type Observed, observeHost, tellAdvice } from "../install/observation";
import { targetFor } from "../targets/target-for";
import type { Part } from "./child";
import { childOptions } from "./child-options";
import type { HostLogin } from "./host-login";
import { identityOf } from "./instance";
import { loginOf } from "./login";

export const hostType = "socket-bypass:index:BypassHost";

/** A host after its steps: it was observed, or installed, or one after the other. */
export interface Done extends Ended {
  readonly observed?: Observed;
  readonly installed?: Installed;
  /** How it is reached, which is secret. */
  readonly login: pulumi.Output<HostLogin>;
}

/**
 * `after` lists steps of other hosts that must succeed before the first step of this one begins.
 */
export function installHost(part: Part, args: Host, after: readonly Ended[] = []): Done {
  const { component, name, key, where, shared } = part;
  const identity = identityOf(key, args.instance, where);
  const host = normalizeHost(args, where, identity.instance);
  const all = { ...shared, ...host, right: allRight([shared.right, host.right]) };
  const target = targetFor(host);
  const opts = childOptions(component, part.opts);
  const files = filesOf(name, target, identity.instance, all, opts);
  const wanted = { name, identity, target, args: all, files, opts };
  const login = when(all.right, loginOf(host, identity.instance));
  if (shared.observe === undefined) {
    const installed = installSteps({ ...wanted, after });
    return { ...installed, installed, login };
  }
  const observed = observeHost({ ...wanted, after }, shared.observe);
  tellAdvice(observed, shared.hasTraffic ? shared.policy : undefined, component);
  if (!shared.hasTraffic) return { ...observed, observed, login };
  const installed = installSteps({ ...wanted, after: [observed] });
  return { ...installed, shown: allRight([observed.shown, installed.shown]), observed, installed, login };
}

/** What is known of the installation of a host that is only observed. */
const nothing = pulumi.output("");

/**
 * What a component registers. The answers of the self-test and of the advice stay with their steps
 * alone, because the state would hold each of them twice more.
 */
export function outputsOfHost({ shown, installed }: Done) {
  return { generation: when(shown, installed?.generation ?? nothing) };
}
