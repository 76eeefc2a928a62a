// SPDX-License-Identifier: Apache-2.0
import * as pulumi from "@pulumi/pulumi";
import { type SocketBypassArgs, socketBypassSchema } from "../args/socket-bypass";
import { checkNow, type Where } from "../args/validation/check";
import { allRight, type Right, when } from "../args/validation/right";
import type { Advice } from "../commands/advice";
import type { SelfTestResult } from "../commands/self-test";
import type { Ended } from "../install/host-steps";
import { normalizeBypass } from "../install/normalize";
import { adviceFor } from "../install/observation";
import { withShortTrace } from "../targets/short-trace";
import { Child } from "./child";
import { childOptions } from "./child-options";
import { type Done, hostType, installHost, outputsOfHost } from "./host";
import { warnOfUnknownKeys } from "./host-key-warning";
import type { HostLogin } from "./host-login";
import { deployNodePool, outputsOfPool, poolType } from "./node-pool";
import { sayNothingLoads } from "./nothing-loads";
import { checkPoolName } from "./pool-name";
import { batchesOf } from "./rollout";
import { checkThisMachine } from "./this-machine";

/** What is known of a host once it is installed. */
export interface HostReport {
  /**
   * The generation that serves.
   */
  generation: string;
  /**
   * What the self-test found. Absent if it has not run yet, because --target or --exclude leaves it
   * out.
   */
  selfTest?: SelfTestResult;
}

/** What is known of a node pool once its pods are ready. */
export interface NodePoolReport {
  /**
   * The generation that its pods serve.
   */
  generation: string;
  /**
   * The namespace of its pods.
   */
  namespace: string;
  /**
   * The name of its DaemonSet.
   */
  daemonSet: string;
}

/**
 * Makes TCP between two sockets of the same host skip the TCP/IP stack, on every host that is named
 * and every node of the pools that are named.
 */
export class SocketBypass extends pulumi.ComponentResource {
  /**
   * What is known of each host, by its key. Empty if the hosts are only observed.
   */
  public readonly hosts: pulumi.Output<Record<string, HostReport>>;
  /**
   * What is known of each node pool, by its key.
   */
  public readonly nodePools: pulumi.Output<Record<string, NodePoolReport>>;
  /**
   * Which connections of each host would gain, and which programs would be harmed, by the host's
   * key. Empty without `observe`.
   */
  public readonly advice: pulumi.Output<Record<string, Advice>>;
  /**
   * Names what is installed on the first host, or without hosts on the first node pool, by 12
   * hexadecimal digits such as "0f3a9c1b27de". Empty if the hosts are only observed.
   */
  public readonly generation: pulumi.Output<string>;
  /**
   * How to reach each host and the pods of each node pool, by their keys: address, port and user,
   * but no key or password. A secret, as connections are. A program that exports it as
   * `socketBypass` lets `npx socket-bypass status --stack NAME` find them.
   */
  public readonly logins: pulumi.Output<Record<string, HostLogin>>;

  constructor(name: string, args: SocketBypassArgs, opts: pulumi.ComponentResourceOptions = {}) {
    // The SDK would keep the arguments in the state, in plain text.
    super("socket-bypass:index:SocketBypass", name, {}, opts);
    const where: Where = { resource: this, what: `SocketBypass "${name}"`, path: [] };
    checkNow(socketBypassSchema, args, where);

    const { hosts = {}, nodePools = {}, rollout, ...same } = args;
    for (const key of Object.keys(nodePools)) checkPoolName(`${name}-${key}`, { ...where, path: ["nodePools", key] });
    checkThisMachine(
      Object.entries(hosts).map(([key, host]) => [["hosts", key], host]),
      where,
    );
    warnOfUnknownKeys(hosts, this);
    const shared = normalizeBypass(same, where);
    if (!shared.hasTraffic) sayNothingLoads(Object.keys(hosts), this);
    /** Makes the child for the host or pool with this key, which errors name. */
    const partOf = (type: string, list: string, key: string) => {
      const component = withShortTrace(() => new Child(type, `${name}-${key}`, childOptions(this, opts)));
      const its: Where = { ...where, resource: component, path: [list, key] };
      const more = { key: [name, key], where: its, shared, opts: childOptions(this, opts) };
      return { component, name: `${name}-${key}`, ...more };
    };
    const done = new Map<string, Done>();
    let after: readonly Ended[] = [];
    for (const batch of batchesOf(Object.keys(hosts), rollout)) {
      for (const key of batch) {
        const part = partOf(hostType, "hosts", key);
        const its = installHost(part, { ...hosts[key] }, after);
        part.component.tell(outputsOfHost(its));
        done.set(key, its);
      }
      after = batch.flatMap((key) => done.get(key) ?? []);
    }
    const reports: Record<string, pulumi.Output<HostReport>> = {};
    const logins: Record<string, pulumi.Output<HostLogin>> = {};
    const advices: Record<string, pulumi.Output<Advice | undefined>> = {};
    const generations: pulumi.Output<string>[] = [];
    const rights: Right[] = [];
    for (const key of Object.keys(hosts)) {
      const its = done.get(key);
      if (its === undefined) continue;
      rights.push(its.shown);
      logins[key] = its.login;
      if (its.observed !== undefined) advices[key] = adviceFor(its.observed);
      if (its.installed === undefined) continue;
      const { generation, selfTest } = its.installed;
      generations.push(generation);
      reports[key] = pulumi
        .all([generation, selfTest])
        .apply(([id, found]) => ({ generation: id, ...(found && { selfTest: found }) }));
    }
    const poolReports: Record<string, pulumi.Output<NodePoolReport>> = {};
    for (const [key, pool] of Object.entries(nodePools)) {
      const part = partOf(poolType, "nodePools", key);
      const its = deployNodePool(part, pool);
      part.component.tell(outputsOfPool(its));
      const { generation, namespace, daemonSet, right } = its;
      rights.push(right);
      logins[key] = its.login;
      generations.push(generation);
      poolReports[key] = pulumi
        .all([generation, namespace, daemonSet])
        .apply(([id, where, what]) => ({ generation: id, namespace: where, daemonSet: what }));
    }
    const right = allRight(rights);
    this.hosts = when(right, pulumi.all(reports));
    this.nodePools = when(right, pulumi.all(poolReports));
    this.advice = when(
      right,
      pulumi.all(advices).apply((all) => withoutUndefined(all)),
    );
    this.generation = when(
      right,
      pulumi.all(generations).apply(([first]) => first ?? ""),
    );
    // Not registered: the state need not hold what only a program that exports it asks for.
    this.logins = pulumi.secret(when(right, pulumi.all(logins)));
    // What hosts answer stays with their steps, because the state would hold it once more.
    this.registerOutputs({ nodePools: this.nodePools, generation: this.generation });
  }
}

/** Hosts that --target or --exclude leaves out have no advice yet. */
function withoutUndefined(all: Readonly<Record<string, Advice | undefined>>): Record<string, Advice> {
  return Object.fromEntries(Object.entries(all).flatMap(([key, one]) => (one === undefined ? [] : [[key, one]])));
}
