// SPDX-License-Identifier: Apache-2.0
import * as pulumi from "@pulumi/pulumi";
import type { MetricsReader } from "../../args/kubernetes";
import { type Right, when } from "../../args/validation/right";
import type { PodFiles } from "../../bundle/config-map";
import {
  daemonSetSpec,
  type Monitor,
  namespaceLabels,
  networkPolicySpec,
  ownLabels,
  type Pool,
  podMonitorSpec,
} from "./manifests";
import { type KubernetesObject, loadKubernetes } from "./provider";

export interface Surroundings {
  /** A namespace that exists; without it the pool creates one. */
  readonly namespace?: pulumi.Output<string> | undefined;
  /** In a namespace that exists, a network policy is created only if this says who may read. */
  readonly metricsFrom?: pulumi.Output<MetricsReader[]> | undefined;
  /** Without it there is no PodMonitor. */
  readonly podMonitor?: pulumi.Output<Monitor> | undefined;
  /** If this gives an error, nothing is sent to the cluster. */
  readonly right: Right;
}

export interface Deployed {
  readonly namespace: pulumi.Output<string>;
  readonly daemonSet: pulumi.Output<string>;
}

/**
 * Deletes objects in the background. The provider waits for an object that it deletes to be gone,
 * but before 4.24 it misses one that goes just as it begins to wait, and then waits until its
 * timeout of ten minutes (pulumi-kubernetes pull request 3688). With background deletion an object
 * that nothing depends on is gone before the provider looks.
 */
const goneAtOnce = { "pulumi.com/deletionPropagationPolicy": "background" };
/** A namespace always takes time to go; the objects in this one have been waited for before. */
const namespaceTimeout = "2m";

/**
 * Deploys one pool to a cluster. The names of all objects begin with `name` and get a few letters
 * more, so that a new object can stand beside the old one.
 */
export function deployPool(
  name: string,
  pool: Pool,
  files: pulumi.Output<Omit<PodFiles, "identity">>,
  { namespace, metricsFrom, podMonitor, right }: Surroundings,
  opts: pulumi.CustomResourceOptions,
): Deployed {
  const { core, apps, networking, apiextensions } = loadKubernetes();
  const { labels: itsLabels, annotations } = pool;
  const labels = ownLabels(pool.instance);
  // The annotations stand first in all metadata: the SDK waits for one property after another, and
  // a namespace that is never created never has a name.
  const itsAnnotations = when(right, pulumi.output(goneAtOnce));
  const ownNamespace = () =>
    new core.v1.Namespace(
      `${name}-namespace`,
      { metadata: { annotations: itsAnnotations, labels: { ...labels, ...namespaceLabels } } },
      { ...opts, customTimeouts: { delete: namespaceTimeout, ...opts.customTimeouts } },
    );
  const where = namespace ?? nameOf(ownNamespace(), `${name}-namespace`);
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
      // Other files make another ConfigMap, so that a restarted pod finds the files that it started
      // with.
      immutable: true,
      data: files.texts,
      binaryData: files.binaries,
    },
    { ...opts, hideDiffs: ["data", "binaryData"] },
  );
  // The policy must exist before the first pod does.
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
      spec: daemonSetSpec(pool, nameOf(account, `${name}-account`), nameOf(configMap, `${name}-files`)),
    },
    opts,
  );
  if (podMonitor !== undefined)
    new apiextensions.CustomResource(
      `${name}-monitor`,
      {
        apiVersion: "monitoring.coreos.com/v1",
        kind: "PodMonitor",
        metadata: {
          ...itsMetadata,
          labels: podMonitor.apply(({ labels: given }) => ({ ...given, ...labels })),
        },
        spec: podMonitorSpec(pool.instance, podMonitor),
      },
      opts,
    );
  return {
    namespace: daemonSet.metadata.apply((its) => pulumi.output(its?.namespace ?? where)),
    daemonSet: nameOf(daemonSet, `${name}-loader`),
  };
}

/** The name of an object, which a unit test may not know: its name in the program then. */
function nameOf({ metadata }: KubernetesObject, otherwise: string): pulumi.Output<string> {
  return metadata.apply((its) => its?.name ?? otherwise);
}
