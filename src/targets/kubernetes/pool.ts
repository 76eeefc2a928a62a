// SPDX-License-Identifier: Apache-2.0
import * as pulumi from "@pulumi/pulumi";
import type { MetricsReaderArgs } from "../../args/kubernetes";
import { type Right, when } from "../../args/validation/right";
import type { PodFiles } from "../../bundle/config-map";
import { daemonSetSpec, namespaceLabels, networkPolicySpec, ownLabels, type Pool } from "./manifests";
import { loadKubernetes } from "./provider";

export interface Surroundings {
  /** One that exists; else one is made. */
  readonly namespace?: pulumi.Output<string> | undefined;
  /** In a namespace that exists there is no policy where it does not say who may read. */
  readonly metricsFrom?: pulumi.Output<MetricsReaderArgs[]> | undefined;
  /** Where it fails, nothing is asked of the cluster. */
  readonly right: Right;
}

export interface Deployed {
  readonly namespace: pulumi.Output<string>;
  readonly daemonSet: pulumi.Output<string>;
}

/**
 * The provider waits for an object that it deletes to be gone, but before 4.24 misses one that goes
 * while it begins to wait, and then waits until its timeout of ten minutes (pulumi-kubernetes pull
 * request 3688). Objects that nothing depends on are gone before it looks this way.
 */
const goneAtOnce = { "pulumi.com/deletionPropagationPolicy": "background" };
/** A namespace is never gone at once; what was in this one has been waited for before. */
const namespaceTimeout = "2m";

/**
 * Puts one pool into a cluster. Kubernetes names everything after `name`, with a few letters more:
 * a new one can stand beside the old one.
 */
export function deployPool(
  name: string,
  pool: Pool,
  files: pulumi.Output<Omit<PodFiles, "identity">>,
  { namespace, metricsFrom, right }: Surroundings,
  opts: pulumi.CustomResourceOptions,
): Deployed {
  const { core, apps, networking } = loadKubernetes();
  const { labels: itsLabels, annotations } = pool;
  const labels = ownLabels(pool.instance);
  // First in all metadata: the SDK waits for one property after another, and a namespace that is
  // not made never has a name.
  const itsAnnotations = when(right, pulumi.output(goneAtOnce));
  const where =
    namespace ??
    new core.v1.Namespace(
      `${name}-namespace`,
      { metadata: { annotations: itsAnnotations, labels: { ...labels, ...namespaceLabels } } },
      { ...opts, customTimeouts: { delete: namespaceTimeout, ...opts.customTimeouts } },
    ).metadata.name;
  const itsMetadata = { annotations: itsAnnotations, namespace: where, labels };
  const account = new core.v1.ServiceAccount(
    `${name}-account`,
    { metadata: itsMetadata, automountServiceAccountToken: false },
    opts,
  );
  const configMap = new core.v1.ConfigMap(
    `${name}-files`,
    {
      metadata: itsMetadata,
      // Other files are another ConfigMap, so that a pod that starts again finds those it began
      // with.
      immutable: true,
      data: files.texts,
      binaryData: files.binaries,
    },
    { ...opts, hideDiffs: ["data", "binaryData"] },
  );
  // Before the first pod is there.
  if (namespace === undefined || metricsFrom !== undefined)
    new networking.v1.NetworkPolicy(
      `${name}-network`,
      {
        metadata: itsMetadata,
        spec: networkPolicySpec(pool, metricsFrom ?? pulumi.output([])),
      },
      opts,
    );
  const daemonSet = new apps.v1.DaemonSet(
    `${name}-loader`,
    {
      metadata: { annotations: when(right, pulumi.output(annotations)), namespace: where, labels: itsLabels },
      spec: daemonSetSpec(pool, account.metadata.name, configMap.metadata.name),
    },
    opts,
  );
  return { namespace: daemonSet.metadata.apply(({ namespace: its }) => its), daemonSet: daemonSet.metadata.name };
}
