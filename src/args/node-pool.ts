// SPDX-License-Identifier: Apache-2.0
import type * as pulumi from "@pulumi/pulumi";
import { z } from "zod";
import { instanceName } from "./instance";
import { isNetwork } from "./traffic";
import { hiddenText, isPending, leaf, plainFlag, shape, text, whole, wrong, wrongHidden } from "./validation/schema";

/** What a pod puts up with on a node, as Kubernetes has it. */
export interface TolerationArgs {
  /**
   * Key of the taint. Default: any.
   */
  key?: pulumi.Input<string>;
  /**
   * "Equal" or "Exists". Default "Equal".
   */
  operator?: pulumi.Input<string>;
  /**
   * Value of the taint, with "Equal".
   */
  value?: pulumi.Input<string>;
  /**
   * "NoSchedule", "PreferNoSchedule" or "NoExecute". Default: all of them.
   */
  effect?: pulumi.Input<string>;
  /**
   * Seconds that a pod stays on a node with a NoExecute taint. Default: for ever.
   */
  tolerationSeconds?: pulumi.Input<number>;
}

/** What a pod asks for, as Kubernetes has it. */
export interface PodResourceArgs {
  /**
   * What the scheduler keeps free. Default 10m of "cpu" and 32Mi of "memory".
   */
  requests?: pulumi.Input<Record<string, pulumi.Input<string>>>;
  /**
   * What it may not exceed. Default none: the maps of the programs count as memory of the pod, and a connection for which there is no room stays plain TCP.
   */
  limits?: pulumi.Input<Record<string, pulumi.Input<string>>>;
}

/** Who may read the metrics of the pods: pods by the labels of their namespace and their own, or a network. */
export interface MetricsReaderArgs {
  /**
   * Labels of the namespaces of the readers; an empty map means all. Default: the namespace of the loader's pods.
   */
  namespaceLabels?: pulumi.Input<Record<string, pulumi.Input<string>>>;
  /**
   * Labels of the readers' pods. Default: all pods of those namespaces.
   */
  podLabels?: pulumi.Input<Record<string, pulumi.Input<string>>>;
  /**
   * A network such as "10.1.0.0/16", and no labels beside it.
   */
  cidr?: pulumi.Input<string>;
}

/** The nodes of a Kubernetes cluster that take part, and the pod that looks after each of them. */
export interface NodePoolArgs {
  /**
   * Container image with a POSIX sh, the usual small tools (busybox has them) and bpftool 5.8 or newer; image/Dockerfile builds one. The programs and scripts are not in it: a ConfigMap brings them.
   */
  image: pulumi.Input<string>;
  /**
   * When a node pulls the image: "Always", "IfNotPresent" or "Never". Default: as Kubernetes has it for the image's tag.
   */
  imagePullPolicy?: pulumi.Input<string>;
  /**
   * Names of the secrets with which the image is pulled, in the namespace of the pods. Default none.
   */
  imagePullSecrets?: pulumi.Input<pulumi.Input<string>[]>;
  /**
   * A namespace that exists; its Pod Security level must be "privileged", for the pods mount folders of the node. Default: one of its own, with that level.
   */
  namespace?: pulumi.Input<string>;
  /**
   * Labels that a node must have to take part. A node that loses one is drained and cleaned. Default: all nodes.
   */
  nodeSelector?: pulumi.Input<Record<string, pulumi.Input<string>>>;
  /**
   * Taints that the pods put up with. Default: all, so that no node of the selector is left out.
   */
  tolerations?: pulumi.Input<pulumi.Input<TolerationArgs>[]>;
  /**
   * How many nodes are changed at a time: a number or a share such as "25%". Each gets its new pod beside the old one. Default "1".
   */
  maxSurge?: pulumi.Input<string>;
  /**
   * PriorityClass of the pods. Default none.
   */
  priorityClassName?: pulumi.Input<string>;
  /**
   * CPU and memory of each pod.
   */
  resources?: PodResourceArgs;
  /**
   * Labels of the DaemonSet and its pods, beside our own.
   */
  labels?: pulumi.Input<Record<string, pulumi.Input<string>>>;
  /**
   * Annotations of the DaemonSet and its pods.
   */
  annotations?: pulumi.Input<Record<string, pulumi.Input<string>>>;
  /**
   * Where the nodes have bpffs. Default "/sys/fs/bpf".
   */
  bpffs?: pulumi.Input<string>;
  /**
   * Mount bpffs on nodes that have none, by an init container that is privileged. Default false: systemd mounts it.
   */
  mountBpffs?: boolean;
  /**
   * Where the nodes have cgroup v2, or a folder above it. Default "/sys/fs/cgroup".
   */
  cgroupRoot?: pulumi.Input<string>;
  /**
   * Who may read the metrics at port 8080 of the pods, written down as a NetworkPolicy. Default: in a namespace of its own nobody but the node; in a given namespace no policy is made.
   */
  metricsFrom?: MetricsReaderArgs[];
  /**
   * Seconds that unread bytes may take to be read before a node is detached or handed over, from 0 to 600. Default 10.
   */
  drainSeconds?: pulumi.Input<number>;
  /**
   * What the installation is called on the nodes, and in the labels of the pods. Give the name that it has there before the component, the pool's key, the stack or the project gets another one: then a rename replaces nothing. Lower-case letters, digits and dashes, at most 63; one for each pool of a program. Default: made from those names, and another name replaces everything.
   */
  instance?: string;
}

/** @internal */
export const poolDefaults = {
  tolerations: [{ operator: "Exists" }] as TolerationArgs[],
  maxSurge: "1",
  requests: { cpu: "10m", memory: "32Mi" } as Record<string, pulumi.Input<string>>,
  bpffs: "/sys/fs/bpf",
  cgroupRoot: "/sys/fs/cgroup",
  drainSeconds: 10,
};

const name = text("a name as Kubernetes has it", "use lower-case letters, digits and dashes", (value) =>
  /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(value),
);
const longName = hiddenText("a name as Kubernetes has it", "use lower-case letters, digits, dots and dashes", (value) =>
  /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/.test(value),
);
const folder = text(
  'a folder of the nodes such as "/sys/fs/bpf"',
  'begin with "/"; use letters, digits and . _ - in each part, and no "..", no double or closing "/"',
  (value) => value.length <= 200 && /^(\/[A-Za-z0-9._-]+)+$/.test(value) && !/\/\.{1,2}(\/|$)/.test(value),
);
const oneOf = (...words: string[]) =>
  text(words.map((word) => `"${word}"`).join(", "), "choose one of them", (value) => words.includes(value));

/** A list of these, however long. */
function listOf(entry: z.ZodType, what: string) {
  return z
    .unknown()
    .check((context) => {
      const { value } = context;
      if (isPending(value) || value === undefined) return;
      if (!Array.isArray(value)) {
        context.issues.push(wrongHidden(value, [], `a list of ${what}`, "write it in brackets"));
        return;
      }
      for (const [at, one] of value.entries()) {
        const issues = isPending(one) ? [] : (entry.safeParse(one, { reportInput: true }).error?.issues ?? []);
        if (one === undefined || one === null) context.issues.push(wrong(one, [at], `one of the ${what}`, "remove it"));
        else
          for (const issue of issues)
            context.issues.push({ ...issue, path: [at, ...issue.path], continue: true } as never);
      }
    })
    .optional();
}

/** A map of texts by keys as Kubernetes has them. */
function mapOf(what: string, holds: (value: string) => boolean) {
  return z
    .unknown()
    .check((context) => {
      const { value } = context;
      if (isPending(value) || value === undefined) return;
      if (typeof value !== "object" || value === null || Array.isArray(value)) {
        context.issues.push(wrongHidden(value, [], `a map of ${what}`, 'write it as in { "example.com/pool": "web" }'));
        return;
      }
      for (const [key, one] of Object.entries(value)) {
        if (!/^([a-z0-9.-]{1,253}\/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/.test(key))
          context.issues.push(wrong(key, [key], "a key as Kubernetes has it", "rename it"));
        if (!isPending(one) && !(typeof one === "string" && holds(one)))
          context.issues.push(
            wrongHidden(one, [key], `a text for ${what}`, "write it in quotes, as Kubernetes has it"),
          );
      }
    })
    .optional();
}

const isLabel = (value: string) => /^([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$/.test(value);
const isQuantity = (value: string) => /^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$/.test(value);
const toleration = shape({
  key: leaf("a key of a taint", "leave it out for any", (value) => typeof value === "string"),
  operator: oneOf("Equal", "Exists"),
  value: leaf("the value of a taint", "write it in quotes", (value) => typeof value === "string"),
  effect: oneOf("NoSchedule", "PreferNoSchedule", "NoExecute"),
  tolerationSeconds: whole(0, 1_000_000_000, "seconds"),
});

const reader = shape({
  namespaceLabels: mapOf("labels of namespaces", isLabel),
  podLabels: mapOf("labels of pods", isLabel),
  cidr: text('a network such as "10.1.0.0/16"', "set the bits behind the mask to zero", isNetwork),
}).check((context) => {
  const { namespaceLabels, podLabels, cidr } = context.value as MetricsReaderArgs;
  if ((cidr === undefined) === (namespaceLabels === undefined && podLabels === undefined))
    context.issues.push(wrongHidden(context.value, [], "either cidr or labels", "say who the reader is, in one way"));
});

const ownLabels = ["app.kubernetes.io/name", "app.kubernetes.io/instance"];
const labels = mapOf("labels", isLabel).check((context) => {
  const { value } = context;
  if (typeof value !== "object" || value === null) return;
  for (const key of ownLabels)
    if (key in value) context.issues.push(wrong(key, [key], "a label that is not ours", "remove it"));
});

/** @internal */
export const poolProperties = {
  image: hiddenText(
    'an image such as "registry.example.com/socket-bypass:1"',
    "build image/Dockerfile and push it",
    (value) => /^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,500}$/.test(value),
  ),
  imagePullPolicy: oneOf("Always", "IfNotPresent", "Never"),
  imagePullSecrets: listOf(longName, "names of secrets"),
  namespace: name,
  nodeSelector: mapOf("labels of nodes", isLabel),
  tolerations: listOf(toleration, "tolerations"),
  maxSurge: text('a number of nodes such as "1", or a share such as "25%"', "write it in quotes", (value) =>
    /^([1-9][0-9]{0,3}|[1-9][0-9]?%|100%)$/.test(value),
  ),
  priorityClassName: longName,
  resources: shape({
    requests: mapOf("quantities", isQuantity),
    limits: mapOf("quantities", isQuantity),
  }).optional(),
  labels,
  annotations: mapOf("annotations", () => true),
  bpffs: folder,
  mountBpffs: plainFlag(),
  cgroupRoot: folder,
  metricsFrom: listOf(reader, "readers").check((context) => {
    // Whether there is a policy at all must be known at preview.
    if (isPending(context.value))
      context.issues.push(wrong(context.value, [], "a list", "an Output is known too late"));
  }),
  drainSeconds: whole(0, 600, "seconds"),
  instance: instanceName,
};

/** A leaf may be left out everywhere; this one may not. @internal */
export const imageIsThere: z.core.CheckFn<Record<string, unknown>> = (context) => {
  if (context.value.image !== undefined) return;
  const fix = "build image/Dockerfile and push it to where the nodes pull from; there is none to be had elsewhere";
  context.issues.push(wrong(undefined, ["image"], "an image with sh and bpftool", fix));
};

/** @internal */
export const nodePoolSchema = shape(poolProperties).check(imageIsThere);

/** Everything Kubernetes is asked for begins with it, and gets up to 18 characters more. @internal */
export function isPoolName(value: string): boolean {
  return /^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$/.test(value);
}
