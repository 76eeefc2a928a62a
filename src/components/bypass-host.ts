// SPDX-License-Identifier: Apache-2.0
import * as pulumi from "@pulumi/pulumi";
import { type BypassHostArgs, bypassHostSchema } from "../args/bypass-host";
import { checkNow, type Where } from "../args/validation/check";
import { allRight, when } from "../args/validation/right";
import { installSteps } from "../install/host-steps";
import { normalizeBypass, normalizeHost } from "../install/normalize";
import { targetFor } from "../targets/target-for";
import { warnOfUnknownKeys } from "./host-key-warning";
import { identityOf } from "./instance";
import { memberOf, setInstalled } from "./member";

/**
 * One host whose TCP connections between its own sockets skip the TCP/IP stack. Use one for each VM where `deletedWith` matters.
 */
export class BypassHost extends pulumi.ComponentResource {
  /**
   * Twelve hex digits that name what is installed: they change with the programs and with the size of their maps.
   */
  public readonly generation: pulumi.Output<string>;
  /**
   * What the self-test found, as one line of JSON: kernel, messages redirected, and how this kernel behaves.
   */
  public readonly selfTest: pulumi.Output<string>;

  constructor(name: string, args: BypassHostArgs, opts: pulumi.ComponentResourceOptions = {}) {
    // The SDK would keep the arguments in the state, in plain text.
    super("socket-bypass:index:BypassHost", name, {}, opts);
    const member = memberOf(args);
    const what = member ? `SocketBypass "${member.component}"` : `BypassHost "${name}"`;
    const where: Where = { resource: this, what, path: member ? ["hosts", member.key] : [] };
    // A SocketBypass has checked all of its hosts before it made the first.
    if (!member) {
      checkNow(bypassHostSchema, args, where);
      warnOfUnknownKeys({ [name]: args }, this);
    }

    const identity = identityOf(name, member, args.instance, where);
    const host = normalizeHost(args, where, identity.instance);
    const shared = member?.shared ?? normalizeBypass(args, where);
    const installed = installSteps(
      name,
      targetFor(host),
      identity,
      { ...shared, ...host, right: allRight([shared.right, host.right]) },
      childOptions(this, opts),
      member?.after,
    );
    setInstalled(this, installed);
    this.generation = when(installed.right, installed.generation);
    this.selfTest = when(installed.right, installed.selfTest);
    this.registerOutputs({ generation: this.generation, selfTest: this.selfTest });
  }
}

/** What holds for a component holds for all that it is made of. Children inherit providers from the parent by themselves. */
export function childOptions(
  parent: pulumi.Resource,
  opts: pulumi.ComponentResourceOptions,
): pulumi.CustomResourceOptions {
  const { customTimeouts, deletedWith, dependsOn, protect, retainOnDelete } = opts;
  return {
    parent,
    ...(dependsOn === undefined ? {} : { dependsOn }),
    ...(customTimeouts === undefined ? {} : { customTimeouts }),
    ...(protect === undefined ? {} : { protect }),
    ...(retainOnDelete === undefined ? {} : { retainOnDelete }),
    ...(deletedWith === undefined ? {} : { deletedWith }),
  };
}
