// SPDX-License-Identifier: Apache-2.0
import type { HostArgs } from "../args/host";
import { allRight, when } from "../args/validation/right";
import { type Installed, installSteps } from "../install/host-steps";
import { normalizeHost } from "../install/normalize";
import { targetFor } from "../targets/target-for";
import type { Part } from "./child";
import { childOptions } from "./child-options";
import { identityOf } from "./instance";

export const hostType = "socket-bypass:index:BypassHost";

/** `after` lists installations that must succeed before the first step of this one begins. */
export function installHost(part: Part, args: HostArgs, after: readonly Installed[] = []): Installed {
  const { component, name, key, where, shared, opts } = part;
  const identity = identityOf(key, args.instance, where);
  const host = normalizeHost(args, where, identity.instance);
  const right = allRight([shared.right, host.right]);
  return installSteps({
    ...{ name, identity, after, target: targetFor(host) },
    args: { ...shared, ...host, right },
    opts: childOptions(component, opts),
  });
}

export function outputsOfHost({ shown, generation, selfTest }: Installed) {
  return { generation: when(shown, generation), selfTest: when(shown, selfTest) };
}
