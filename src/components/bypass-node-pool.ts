// SPDX-License-Identifier: Apache-2.0
import * as pulumi from "@pulumi/pulumi";
import { type BypassNodePoolArgs, bypassNodePoolSchema } from "../args/bypass-node-pool";
import { checkNow, type Where } from "../args/validation/check";
import { normalizeBypass } from "../install/normalize";
import type { HostLogin } from "./host-login";
import { deployNodePool, outputsOfPool, poolType } from "./node-pool";

/**
 * The nodes of a Kubernetes cluster, on each of which a pod lets TCP connections between sockets of
 * that node skip the TCP/IP stack. The cluster is that of the Kubernetes provider, whose package
 * must be installed beside this one.
 */
export class BypassNodePool extends pulumi.ComponentResource {
  /**
   * Names what is installed, by 12 hexadecimal digits such as "0f3a9c1b27de". They change with the
   * programs and with the size of their maps.
   */
  public readonly generation: pulumi.Output<string>;
  /**
   * The namespace of the pods.
   */
  public readonly namespace: pulumi.Output<string>;
  /**
   * The name of the DaemonSet.
   */
  public readonly daemonSet: pulumi.Output<string>;
  /**
   * Where the pods are. A secret, as the logins of hosts are. A program that exports it, as in
   * `socketBypass = { workers: pool.login }`, lets `npx socket-bypass status --stack NAME` find
   * them.
   */
  public readonly login: pulumi.Output<HostLogin>;

  constructor(name: string, args: BypassNodePoolArgs, opts: pulumi.ComponentResourceOptions = {}) {
    // The SDK would keep the arguments in the state, in plain text.
    super(poolType, name, {}, opts);
    const where: Where = { resource: this, what: `BypassNodePool "${name}"`, path: [] };
    checkNow(bypassNodePoolSchema, args, where);
    const shared = normalizeBypass(args, where);
    const deployed = deployNodePool({ component: this, name, key: [name], where, shared, opts }, args);
    const outputs = outputsOfPool(deployed);
    this.generation = outputs.generation;
    this.namespace = outputs.namespace;
    this.daemonSet = outputs.daemonSet;
    // Not registered: the state need not hold what only a program that exports it asks for.
    this.login = deployed.login;
    this.registerOutputs(outputs);
  }
}
