// SPDX-License-Identifier: Apache-2.0
import type * as pulumi from "@pulumi/pulumi";
import type { z } from "zod";
import { instanceName } from "./instance";
import {
  folder,
  isLabel,
  isQuantity,
  labels,
  listOf,
  longName,
  type MetricsReader,
  type Monitoring,
  mapOf,
  monitoring,
  oneOf,
  type PodResources,
  reader,
  shortName,
  type Toleration,
  toleration,
} from "./kubernetes";
import { hiddenText, isPending, plainFlag, shape, text, whole, wrong } from "./validation/schema";

/** The nodes of a Kubernetes cluster that take part, and the pod that looks after each of them. */
export interface NodePool {
  /**
   * Container image with a POSIX sh, the usual small tools (busybox has them) and bpftool 5.8 or
   * newer: ghcr.io/socket-bypass/socket-bypass-node, by its digest, or one that image/Dockerfile
   * builds. The programs and scripts are not in it: a ConfigMap brings them.
   */
  image: pulumi.Input<string>;
  /**
   * When a node pulls the image: "Always", "IfNotPresent" or "Never". Default: that of Kubernetes
   * for the image's tag.
   */
  imagePullPolicy?: pulumi.Input<string>;
  /**
   * Names of the secrets with which the image is pulled, in the namespace of the pods. Default
   * none.
   */
  imagePullSecrets?: pulumi.Input<pulumi.Input<string>[]>;
  /**
   * A namespace that exists. Its Pod Security level must be "privileged", because the pods mount
   * folders of the node. Default: the pool creates a namespace with that level.
   */
  namespace?: pulumi.Input<string>;
  /**
   * Labels that a node must have to take part. A node that loses one is drained and cleaned.
   * Default: all nodes.
   */
  nodeSelector?: pulumi.Input<Record<string, pulumi.Input<string>>>;
  /**
   * Taints that the pods tolerate. Default: all, so that no node of the selector is left out.
   */
  tolerations?: pulumi.Input<pulumi.Input<Toleration>[]>;
  /**
   * How many nodes are changed at a time: a number or a share such as "25%". Each gets its new pod
   * beside the old one. Default "1".
   */
  maxSurge?: pulumi.Input<string>;
  /**
   * PriorityClass of the pods. Default none.
   */
  priorityClassName?: pulumi.Input<string>;
  /**
   * CPU and memory of each pod. By default it requests 10m of CPU and 32Mi of memory, without
   * limits.
   */
  resources?: PodResources;
  /**
   * Labels of the DaemonSet and its pods, beside our own. Default none.
   */
  labels?: pulumi.Input<Record<string, pulumi.Input<string>>>;
  /**
   * Annotations of the DaemonSet and its pods. Default none.
   */
  annotations?: pulumi.Input<Record<string, pulumi.Input<string>>>;
  /**
   * Where the nodes have bpffs. Default "/sys/fs/bpf".
   */
  bpffs?: pulumi.Input<string>;
  /**
   * Mount bpffs on nodes that have none, by an init container that is privileged. Default false:
   * systemd mounts it.
   */
  mountBpffs?: boolean;
  /**
   * Where the nodes have cgroup v2, or a folder above it. Default "/sys/fs/cgroup".
   */
  cgroupRoot?: pulumi.Input<string>;
  /**
   * Who may read the metrics at port 8080 of the pods, which becomes a NetworkPolicy. Default: in a
   * namespace that the pool creates, only the node; in a given namespace there is no policy.
   */
  metricsFrom?: MetricsReader[];
  /**
   * How Prometheus finds the pods. In a namespace that the pool creates, metricsFrom must let
   * Prometheus in. Default: the pool creates nothing for Prometheus.
   */
  monitoring?: Monitoring;
  /**
   * Seconds that unread bytes may take to be read before a node is detached or handed over, from 0
   * to 600. Default 10.
   */
  drainSeconds?: pulumi.Input<number>;
  /**
   * What the installation is called on the nodes, and in the labels of the pods. Before you rename
   * the component, the pool's key, the stack or the project, give the name that the installation
   * has now: then the rename replaces nothing. Lower-case letters, digits and dashes, at most 63;
   * one for each pool of a program. Default: made from those names, and another name replaces
   * everything.
   */
  instance?: string;
}

/** @internal */
export const poolDefaults = {
  tolerations: [{ operator: "Exists" }] as Toleration[],
  maxSurge: "1",
  requests: { cpu: "10m", memory: "32Mi" } as Record<string, pulumi.Input<string>>,
  bpffs: "/sys/fs/bpf",
  cgroupRoot: "/sys/fs/cgroup",
  drainSeconds: 10,
  scrapeSeconds: 30,
};

const imageFix =
  "take ghcr.io/socket-bypass/socket-bypass-node by its digest, or build image/Dockerfile and push it to where the nodes pull from";

/** @internal */
export const poolProperties = {
  image: hiddenText('an image such as "registry.example.com/socket-bypass:1"', imageFix, (value) =>
    /^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,500}$/.test(value),
  ),
  imagePullPolicy: oneOf("Always", "IfNotPresent", "Never"),
  imagePullSecrets: listOf(longName, "names of secrets"),
  namespace: shortName,
  nodeSelector: mapOf("labels of nodes", '{ "example.com/pool": "web" }', isLabel),
  tolerations: listOf(toleration, "tolerations"),
  maxSurge: text('a number of nodes such as "1", or a share such as "25%"', "write it in quotes", (value) =>
    /^([1-9][0-9]{0,3}|[1-9][0-9]?%|100%)$/.test(value),
  ),
  priorityClassName: longName,
  resources: shape({
    requests: mapOf("quantities", '{ cpu: "10m", memory: "32Mi" }', isQuantity),
    limits: mapOf("quantities", '{ cpu: "500m", memory: "128Mi" }', isQuantity),
  }).optional(),
  labels: labels('{ "example.com/team": "web" }'),
  annotations: mapOf("annotations", '{ "example.com/owner": "the web team" }', () => true),
  bpffs: folder("/sys/fs/bpf"),
  mountBpffs: plainFlag(),
  cgroupRoot: folder("/sys/fs/cgroup"),
  metricsFrom: listOf(reader, "readers").check((context) => {
    // A preview must already know whether to create a policy.
    if (isPending(context.value))
      context.issues.push(wrong(context.value, [], "a list", "an Output is known too late"));
  }),
  monitoring,
  drainSeconds: whole(0, 600, "seconds"),
  instance: instanceName,
};

/** A leaf is optional everywhere, but this one is required. @internal */
export const imageIsThere: z.core.CheckFn<Record<string, unknown>> = (context) => {
  if (context.value.image !== undefined) return;
  context.issues.push(wrong(undefined, ["image"], "an image with sh and bpftool", imageFix));
};

/** Otherwise every scrape would fail, and nothing would say why. @internal */
export const scraperGetsIn: z.core.CheckFn<Record<string, unknown>> = (context) => {
  const { namespace, metricsFrom, monitoring: wanted } = context.value;
  if (namespace !== undefined || metricsFrom !== undefined || typeof wanted !== "object" || wanted === null) return;
  const { annotations, podMonitor } = wanted as Monitoring;
  // What is not known yet may be true.
  if ((annotations === undefined || annotations === false) && podMonitor === undefined) return;
  const fix =
    'say where your Prometheus is, as in [{ namespaceLabels: { "kubernetes.io/metadata.name": "monitoring" } }]';
  context.issues.push(wrong(undefined, ["metricsFrom"], "the readers that monitoring is for", fix));
};

/** @internal */
export const nodePoolSchema = shape(poolProperties).check(imageIsThere).check(scraperGetsIn);

/**
 * The names of all Kubernetes objects of a pool begin with this name and add up to 18 characters.
 * @internal
 */
export function isPoolName(value: string): boolean {
  return /^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$/.test(value);
}
