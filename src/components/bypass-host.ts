// SPDX-License-Identifier: Apache-2.0
import * as pulumi from "@pulumi/pulumi";
import { type BypassHostArgs, bypassHostSchema } from "../args/bypass-host";
import { checkNow } from "../args/check";
import { identify } from "../host/identity";
import { localTarget } from "../targets/local";
import { settle } from "./settle";
import { installSteps } from "./steps";

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
    const where = { resource: this, what: `BypassHost "${name}"`, path: [] };
    checkNow(bypassHostSchema, args, where);

    const settled = settle(args, where);
    const { generation, selfTest } = installSteps(
      name,
      localTarget(settled.become),
      identify([pulumi.getProject(), pulumi.getStack(), name]),
      settled,
      childOptions(this, opts),
    );
    this.generation = generation;
    this.selfTest = selfTest.stdout;
    this.registerOutputs({ generation: this.generation, selfTest: this.selfTest });
  }
}

/** The engine hands on protect, retainOnDelete, deletedWith and providers; these it does not. */
export function childOptions(
  parent: pulumi.Resource,
  opts: pulumi.ComponentResourceOptions,
): pulumi.CustomResourceOptions {
  return {
    parent,
    ...(opts.dependsOn === undefined ? {} : { dependsOn: opts.dependsOn }),
    ...(opts.customTimeouts === undefined ? {} : { customTimeouts: opts.customTimeouts }),
  };
}
