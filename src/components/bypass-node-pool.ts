// SPDX-License-Identifier: Apache-2.0
import * as pulumi from "@pulumi/pulumi";
import { type BypassNodePoolArgs, bypassNodePoolSchema } from "../args/bypass-node-pool";
import { checkNow, type Where } from "../args/validation/check";
import { allRight, when } from "../args/validation/right";
import { generationOf } from "../bundle/bundle";
import { podFiles } from "../bundle/config-map";
import { applyFlags } from "../commands/verbs";
import { extrasOf } from "../install/host-steps";
import { normalizeBypass, normalizeNodePool } from "../install/normalize";
import { ownLabels } from "../targets/kubernetes/manifests";
import { deployPool } from "../targets/kubernetes/pool";
import { childOptions } from "./bypass-host";
import { identityOf } from "./instance";
import { memberOf, setDeployed } from "./member";
import { checkPoolName } from "./pool-name";

/** Waiting for the lock of the node, and what the steps besides the self-test take at most. */
const waitSeconds = 180;

/**
 * The nodes of a Kubernetes cluster, on each of which a pod lets TCP connections between sockets of that node skip the TCP/IP stack. The cluster is that of the Kubernetes provider, whose package must be installed beside this one.
 */
export class BypassNodePool extends pulumi.ComponentResource {
  /**
   * Twelve hex digits that name what is installed: they change with the programs and with the size of their maps.
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

  constructor(name: string, args: BypassNodePoolArgs, opts: pulumi.ComponentResourceOptions = {}) {
    // The SDK would keep the arguments in the state, in plain text.
    super("socket-bypass:index:BypassNodePool", name, {}, opts);
    const member = memberOf(args);
    const what = member ? `SocketBypass "${member.component}"` : `BypassNodePool "${name}"`;
    const where: Where = { resource: this, what, path: member ? ["nodePools", member.key] : [] };
    // A SocketBypass has checked all of its pools before it made the first.
    if (!member) checkNow(bypassNodePoolSchema, args, where);
    checkPoolName(name, where);

    const { instance, owner } = identityOf(name, member, args.instance, where);
    const shared = member?.shared ?? normalizeBypass(args, where);
    const { namespace, metricsFrom, right: itsRight, ...its } = normalizeNodePool(args, where);
    const right = allRight([shared.right, itsRight]);
    const { cgroup, size, selfTest, policy, takeOver, adopt, spliceGuard } = shared;
    const origin = pulumi.all([shared.compile, adopt]);
    const files = origin.apply(([compile, withAdopt]) => {
      const { texts, binaries } = podFiles(compile, extrasOf(withAdopt));
      return { texts, binaries };
    });
    const generation = pulumi
      .all([origin, size])
      .apply(([[compile, withAdopt], room]) => generationOf(podFiles(compile, extrasOf(withAdopt)), compile, room));
    const bound = selfTest.apply(({ timeoutSeconds }) => waitSeconds + timeoutSeconds);
    const deployed = deployPool(
      name,
      {
        ...its,
        ...{ instance, owner, generation },
        flags: pulumi.output({ cgroup, size, selfTest, policy, takeOver, adopt, spliceGuard }).apply(applyFlags),
        startSeconds: bound,
        // Old and new generation may both have to be swept.
        stopSeconds: pulumi.all([bound, its.drainSeconds]).apply(([wait, drain]) => wait + 2 * (drain + 10)),
        labels: its.labels.apply((given) => ({ ...given, ...ownLabels(instance) })),
        annotations: its.annotations.apply((given) => ({ ...given, "socket-bypass/generation": generation })),
      },
      files,
      { namespace, metricsFrom, right },
      childOptions(this, opts),
    );
    setDeployed(this, { generation, ...deployed, right });
    this.generation = when(right, generation);
    this.namespace = when(right, deployed.namespace);
    this.daemonSet = when(right, deployed.daemonSet);
    this.registerOutputs({ generation: this.generation, namespace: this.namespace, daemonSet: this.daemonSet });
  }
}
