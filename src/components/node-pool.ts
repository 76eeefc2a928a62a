// SPDX-License-Identifier: Apache-2.0
import * as pulumi from "@pulumi/pulumi";
import type { NodePool } from "../args/node-pool";
import { allRight, attempt, type Right, when } from "../args/validation/right";
import { generationOf } from "../bundle/bundle";
import { podFiles } from "../bundle/config-map";
import { applyFlags } from "../commands/verbs";
import { effectiveOrigin, extrasOf } from "../install/host-files";
import { normalizeNodePool } from "../install/normalize";
import { ownLabels, scrapeAnnotations } from "../targets/kubernetes/manifests";
import { deployPool } from "../targets/kubernetes/pool";
import type { Part } from "./child";
import { childOptions } from "./child-options";
import type { HostLogin } from "./host-login";
import { identityOf } from "./instance";
import { checkPoolName } from "./pool-name";

export const poolType = "socket-bypass:index:BypassNodePool";

/**
 * How long a pod may wait for the lock of its node, plus the longest time of all steps but the
 * self-test.
 */
const waitSeconds = 180;

/**
 * What a pool creates. These outputs do not wait until the arguments are known to be right: only a
 * property near the end of the chain may fail with them.
 */
export interface DeployedPool {
  readonly generation: pulumi.Output<string>;
  readonly namespace: pulumi.Output<string>;
  readonly daemonSet: pulumi.Output<string>;
  /** Where its pods are; a secret like the logins of hosts. */
  readonly login: pulumi.Output<HostLogin>;
  readonly right: Right;
}

export function deployNodePool(part: Part, args: NodePool): DeployedPool {
  const { component, name, key, where, shared, opts } = part;
  checkPoolName(name, where);
  const { instance, owner } = identityOf(key, args.instance, where);
  const { namespace, metricsFrom, podMonitor, isAnnotated, right: itsRight, ...its } = normalizeNodePool(args, where);
  const { cgroup, size, selfTest, policy, takeOver, adopt, spliceGuard } = shared;
  const origin = pulumi.all([shared.compile, adopt]);
  // Compiling them may fail.
  const { made: files, right: filesRight } = attempt(origin, ([compile, withAdopt]) => {
    const { texts, binaries } = podFiles(effectiveOrigin(compile), extrasOf(withAdopt));
    return { texts, binaries };
  });
  const right = allRight([shared.right, itsRight, filesRight]);
  const generation = pulumi
    .all([origin, size, files])
    .apply(([[compile, withAdopt], room]) =>
      generationOf(podFiles(effectiveOrigin(compile), extrasOf(withAdopt)), compile, room),
    );
  const bound = selfTest.apply(({ timeoutSeconds }) => waitSeconds + timeoutSeconds);
  const annotations = its.annotations.apply((given) => ({ ...given, "socket-bypass/generation": generation }));
  const deployed = deployPool(
    name,
    {
      ...its,
      ...{ instance, owner, generation },
      flags: pulumi.output({ cgroup, size, selfTest, policy, takeOver, adopt, spliceGuard }).apply(applyFlags),
      startSeconds: bound,
      // The pod may have to drain both the old and the new generation.
      stopSeconds: pulumi.all([bound, its.drainSeconds]).apply(([wait, drain]) => wait + 2 * (drain + 10)),
      labels: its.labels.apply((given) => ({ ...given, ...ownLabels(instance) })),
      annotations,
      podAnnotations: pulumi
        .all([annotations, isAnnotated])
        .apply(([given, isWanted]) => ({ ...(isWanted && scrapeAnnotations), ...given })),
    },
    files,
    { namespace, metricsFrom, podMonitor, right },
    childOptions(component, opts),
  );
  const login = pulumi
    .all([deployed.namespace, deployed.daemonSet])
    .apply(([namespace, daemonSet]): HostLogin => ({ instance, nodePool: { namespace, daemonSet } }));
  return { generation, ...deployed, login: pulumi.secret(when(right, login)), right };
}

export function outputsOfPool({ right, generation, namespace, daemonSet }: DeployedPool) {
  return {
    generation: when(right, generation),
    namespace: when(right, namespace),
    daemonSet: when(right, daemonSet),
  };
}
