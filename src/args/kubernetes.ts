// SPDX-License-Identifier: Apache-2.0
import type * as pulumi from "@pulumi/pulumi";
import { z } from "zod";
import { isNetwork } from "./traffic";
import { flag, hiddenText, isPending, leaf, shape, text, whole, wrong, wrongHidden } from "./validation/schema";

/** A taint that the pods tolerate, as in Kubernetes. */
export interface Toleration {
  /**
   * Key of the taint. Default: any.
   */
  key?: pulumi.Input<string>;
  /**
   * "Equal" or "Exists". Default "Equal".
   */
  operator?: pulumi.Input<string>;
  /**
   * Value of the taint, with "Equal". Default "", as in Kubernetes.
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

/** Resources of a pod, as in Kubernetes. */
export interface PodResources {
  /**
   * What the scheduler keeps free. Default 10m of "cpu" and 32Mi of "memory".
   */
  requests?: pulumi.Input<Record<string, pulumi.Input<string>>>;
  /**
   * What the pod may not exceed. Default none: the maps of the programs count as memory of the pod,
   * and a connection for which there is no room stays plain TCP.
   */
  limits?: pulumi.Input<Record<string, pulumi.Input<string>>>;
}

/**
 * Who may read the metrics of the pods: pods by the labels of their namespace and their own, or a
 * network.
 */
export interface MetricsReader {
  /**
   * Labels of the namespaces of the readers; an empty map means all. Default: the namespace of the
   * loader's pods.
   */
  namespaceLabels?: pulumi.Input<Record<string, pulumi.Input<string>>>;
  /**
   * Labels of the readers' pods. Default: all pods of those namespaces.
   */
  podLabels?: pulumi.Input<Record<string, pulumi.Input<string>>>;
  /**
   * A network such as "10.1.0.0/16", and no labels beside it. Default none: the labels decide.
   */
  cidr?: pulumi.Input<string>;
}

/** How Prometheus finds the pods. */
export interface Monitoring {
  /**
   * Annotate the pods with prometheus.io/scrape, port and path, for a Prometheus that finds pods by
   * them. Default false.
   */
  annotations?: pulumi.Input<boolean>;
  /**
   * Create a PodMonitor (monitoring.coreos.com/v1) for prometheus-operator, whose CRDs the cluster
   * must have. Default: none; an empty object creates one with the defaults below.
   */
  podMonitor?: PodMonitor;
}

/** A PodMonitor beside the pods. */
export interface PodMonitor {
  /**
   * Labels by which your Prometheus selects it (podMonitorSelector), such as "release". Default
   * none.
   */
  labels?: pulumi.Input<Record<string, pulumi.Input<string>>>;
  /**
   * Seconds between two scrapes, from 10 to 3600. Default 30.
   */
  intervalSeconds?: pulumi.Input<number>;
}

/** @internal */
export const shortName = text("a name as Kubernetes has it", "use lower-case letters, digits and dashes", (value) =>
  /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(value),
);
/** @internal */
export const longName = hiddenText(
  "a name as Kubernetes has it",
  "use lower-case letters, digits, dots and dashes",
  (value) => /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/.test(value),
);
/** @internal */
export const folder = (example: string) =>
  text(
    `a folder of the nodes such as "${example}"`,
    'begin with "/"; use letters, digits and . _ - in each part, and no "..", no double or closing "/"',
    (value) => value.length <= 200 && /^(\/[A-Za-z0-9._-]+)+$/.test(value) && !/\/\.{1,2}(\/|$)/.test(value),
  );
/** @internal */
export const oneOf = (...words: string[]) =>
  text(words.map((word) => `"${word}"`).join(", "), "choose one of them", (value) => words.includes(value));

/** A list of these entries, of any length. @internal */
export function listOf(entry: z.ZodType, what: string) {
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

/**
 * A map of texts whose keys follow the rules of Kubernetes. `example` shows how to write one.
 * @internal
 */
export function mapOf(what: string, example: string, holds: (value: string) => boolean) {
  return z
    .unknown()
    .check((context) => {
      const { value } = context;
      if (isPending(value) || value === undefined) return;
      if (typeof value !== "object" || value === null || Array.isArray(value)) {
        context.issues.push(wrongHidden(value, [], `a map of ${what}`, `write it as in ${example}`));
        return;
      }
      for (const [key, one] of Object.entries(value)) {
        if (!/^([a-z0-9.-]{1,253}\/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/.test(key))
          context.issues.push(wrong(key, [key], "a key as Kubernetes has it", "rename it"));
        if (!isPending(one) && !(typeof one === "string" && holds(one)))
          context.issues.push(wrongHidden(one, [key], `a text for ${what}`, `write it as in ${example}`));
      }
    })
    .optional();
}

/** @internal */
export const isLabel = (value: string) => /^([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$/.test(value);
/** @internal */
export const isQuantity = (value: string) => /^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$/.test(value);
/** @internal */
export const toleration = shape({
  key: leaf("a key of a taint", "leave it out for any", (value) => typeof value === "string"),
  operator: oneOf("Equal", "Exists"),
  value: leaf("the value of a taint", "write it in quotes", (value) => typeof value === "string"),
  effect: oneOf("NoSchedule", "PreferNoSchedule", "NoExecute"),
  tolerationSeconds: whole(0, 1_000_000_000, "seconds"),
});

/** @internal */
export const reader = shape({
  namespaceLabels: mapOf("labels of namespaces", '{ "kubernetes.io/metadata.name": "monitoring" }', isLabel),
  podLabels: mapOf("labels of pods", '{ "app.kubernetes.io/name": "prometheus" }', isLabel),
  cidr: text('a network such as "10.1.0.0/16"', "set the bits behind the mask to zero", isNetwork),
}).check((context) => {
  const { namespaceLabels, podLabels, cidr } = context.value as MetricsReader;
  if ((cidr === undefined) === (namespaceLabels === undefined && podLabels === undefined))
    context.issues.push(wrongHidden(context.value, [], "either cidr or labels", "say who the reader is, in one way"));
});

const ownLabels = ["app.kubernetes.io/name", "app.kubernetes.io/instance"];
/** Labels that stand beside our own. @internal */
export function labels(example: string) {
  return mapOf("labels", example, isLabel).check((context) => {
    const { value } = context;
    if (typeof value !== "object" || value === null) return;
    for (const key of ownLabels)
      if (key in value) context.issues.push(wrong(key, [key], "a label that is not ours", "remove it"));
  });
}

/** @internal */
export const monitoring = shape({
  annotations: flag(),
  // The pods make no report sooner than ten seconds after the one before.
  podMonitor: shape({
    labels: labels('{ release: "prometheus" }'),
    intervalSeconds: whole(10, 3600, "seconds"),
  }).optional(),
}).optional();
