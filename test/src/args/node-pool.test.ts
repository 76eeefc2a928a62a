// SPDX-License-Identifier: Apache-2.0
import * as pulumi from "@pulumi/pulumi";
import { describe, expect, test } from "vitest";
import { problemsOfMany } from "./report";

const traffic = { everything: true };
const image = "registry.example.com/socket-bypass:1";
const problems = (pool: unknown, more: object = {}) =>
  problemsOfMany({ traffic, nodePools: { workers: pool }, ...more }).slice(1);

describe("a node pool", () => {
  test.each([
    [{ image }],
    [{ image: "busybox" }],
    [{ image: `registry.example.com:5000/a/b@sha256:${"0".repeat(64)}` }],
    [{ image: pulumi.output(image) }],
    [{ image, namespace: "kube-system", imagePullPolicy: "Never", imagePullSecrets: ["a.b", "c"] }],
    [{ image, nodeSelector: { "kubernetes.io/os": "linux", pool: "" }, maxSurge: "25%" }],
    [{ image, tolerations: [] }],
    [
      {
        image,
        tolerations: [{ operator: "Exists" }, { key: "a", value: "b", effect: "NoExecute", tolerationSeconds: 3 }],
      },
    ],
    [{ image, resources: { requests: { cpu: "0.5", memory: "1Gi" }, limits: {} } }],
    [{ image, labels: { team: pulumi.output("web") }, annotations: { "example.com/note": "any text: {}" } }],
    [{ image, bpffs: "/run/bpf", mountBpffs: true, cgroupRoot: "/sys/fs/cgroup/unified", drainSeconds: 0 }],
    [{ image, priorityClassName: "system-node-critical" }],
    [{ image, metricsFrom: [] }],
    [
      {
        image,
        metricsFrom: [{ namespaceLabels: {} }, { podLabels: { app: pulumi.output("a") } }, { cidr: "fd00::/8" }],
      },
    ],
    [{ image, monitoring: {} }],
    [{ image, monitoring: { annotations: false } }],
    [{ image, monitoring: { annotations: true }, metricsFrom: [{ cidr: "fd00::/8" }] }],
    [{ image, monitoring: { annotations: pulumi.output(true), podMonitor: {} }, namespace: "network" }],
    [{ image, monitoring: { podMonitor: { labels: { release: "a" }, intervalSeconds: 10 } }, metricsFrom: [] }],
  ])("may be %j", (pool) => {
    expect(problems(pool)).toEqual([]);
  });

  const refused: [object, string][] = [
    [
      {},
      "image: expected an image with sh and bpftool, found nothing; take ghcr.io/socket-bypass/socket-bypass-node by its digest, or build image/Dockerfile and push it to where the nodes pull from",
    ],
    [
      { image: "" },
      'image: expected an image such as "registry.example.com/socket-bypass:1", found an empty text; take ghcr.io/socket-bypass/socket-bypass-node by its digest, or build image/Dockerfile and push it to where the nodes pull from',
    ],
    [
      { image: "a b" },
      'image: expected an image such as "registry.example.com/socket-bypass:1", found another text; take ghcr.io/socket-bypass/socket-bypass-node by its digest, or build image/Dockerfile and push it to where the nodes pull from',
    ],
    [
      { image, imagePullPolicy: "always" },
      'imagePullPolicy: expected "Always", "IfNotPresent", "Never", found "always"; choose one of them',
    ],
    [
      { image, imagePullSecrets: "one" },
      "imagePullSecrets: expected a list of names of secrets, found another text; write it in brackets",
    ],
    [
      { image, imagePullSecrets: ["a", undefined] },
      "imagePullSecrets[1]: expected one of the names of secrets, found nothing; remove it",
    ],
    [
      { image, namespace: "Kube" },
      'namespace: expected a name as Kubernetes has it, found "Kube"; use lower-case letters, digits and dashes',
    ],
    [
      { image, nodeSelector: { "a b": "c" } },
      'nodeSelector["a b"]: expected a key as Kubernetes has it, found "a b"; rename it',
    ],
    [
      { image, nodeSelector: { pool: true } },
      'nodeSelector.pool: expected a text for labels of nodes, found true; write it as in { "example.com/pool": "web" }',
    ],
    [
      { image, tolerations: [{ effect: "Never" }] },
      'tolerations[0].effect: expected "NoSchedule", "PreferNoSchedule", "NoExecute", found "Never"; choose one of them',
    ],
    [
      { image, maxSurge: "0" },
      'maxSurge: expected a number of nodes such as "1", or a share such as "25%", found "0"; write it in quotes',
    ],
    [
      { image, maxSurge: 1 },
      'maxSurge: expected a number of nodes such as "1", or a share such as "25%", found 1; write it in quotes',
    ],
    [
      { image, resources: { limits: { memory: "much" } } },
      'resources.limits.memory: expected a text for quantities, found another text; write it as in { cpu: "500m", memory: "128Mi" }',
    ],
    [
      { image, labels: { "app.kubernetes.io/name": "mine" } },
      'labels["app.kubernetes.io/name"]: expected a label that is not ours, found "app.kubernetes.io/name"; remove it',
    ],
    [
      { image, bpffs: "/sys/../x" },
      'bpffs: expected a folder of the nodes such as "/sys/fs/bpf", found "/sys/../x"; begin with "/"; use letters, digits and . _ - in each part, and no "..", no double or closing "/"',
    ],
    [
      { image, cgroupRoot: "cgroup" },
      'cgroupRoot: expected a folder of the nodes such as "/sys/fs/cgroup", found "cgroup"; begin with "/"; use letters, digits and . _ - in each part, and no "..", no double or closing "/"',
    ],
    [
      { image, mountBpffs: pulumi.output(true) },
      "mountBpffs: expected true or false, found an Output; write it without quotes; an Output is known too late",
    ],
    [
      { image, metricsFrom: [{}] },
      "metricsFrom[0]: expected either cidr or labels, found an empty object; say who the reader is, in one way",
    ],
    [
      { image, metricsFrom: [{ cidr: "10.0.0.0/8", podLabels: {} }] },
      "metricsFrom[0]: expected either cidr or labels, found an object; say who the reader is, in one way",
    ],
    [
      { image, metricsFrom: [{ cidr: "10.0.0.1/8" }] },
      'metricsFrom[0].cidr: expected a network such as "10.1.0.0/16", found "10.0.0.1/8"; set the bits behind the mask to zero',
    ],
    [
      { image, metricsFrom: pulumi.output([]) },
      "metricsFrom: expected a list, found an Output; an Output is known too late",
    ],
    [
      { image, monitoring: { annotations: true } },
      'metricsFrom: expected the readers that monitoring is for, found nothing; say where your Prometheus is, as in [{ namespaceLabels: { "kubernetes.io/metadata.name": "monitoring" } }]',
    ],
    [
      { image, monitoring: { annotations: pulumi.output(true) } },
      'metricsFrom: expected the readers that monitoring is for, found nothing; say where your Prometheus is, as in [{ namespaceLabels: { "kubernetes.io/metadata.name": "monitoring" } }]',
    ],
    [
      { image, monitoring: { podMonitor: {} } },
      'metricsFrom: expected the readers that monitoring is for, found nothing; say where your Prometheus is, as in [{ namespaceLabels: { "kubernetes.io/metadata.name": "monitoring" } }]',
    ],
    [
      { image, namespace: "a", monitoring: true },
      "monitoring: expected an object, found true; use annotations, podMonitor",
    ],
    [
      { image, namespace: "a", monitoring: pulumi.output({}) },
      "monitoring: expected an object, found an Output; write the object itself and put Outputs inside it: annotations, podMonitor",
    ],
    [
      { image, namespace: "a", monitoring: { annotations: "yes" } },
      'monitoring.annotations: expected true or false, found "yes"; write it without quotes',
    ],
    [
      { image, namespace: "a", monitoring: { podMonitor: true } },
      "monitoring.podMonitor: expected an object, found true; use labels, intervalSeconds",
    ],
    [
      { image, namespace: "a", monitoring: { podMonitor: { labels: { "app.kubernetes.io/name": "mine" } } } },
      'monitoring.podMonitor.labels["app.kubernetes.io/name"]: expected a label that is not ours, found "app.kubernetes.io/name"; remove it',
    ],
    [
      { image, namespace: "a", monitoring: { podMonitor: { intervalSeconds: 5 } } },
      "monitoring.podMonitor.intervalSeconds: expected a whole number of seconds from 10 to 3600, found 5; give a number from 10 to 3600, without quotes",
    ],
    [
      { image, drainSeconds: 601 },
      "drainSeconds: expected a whole number of seconds from 0 to 600, found 601; give a number from 0 to 600, without quotes",
    ],
  ];
  test.each(refused)("may not be %j", (pool, problem) => {
    expect(problems(pool)).toEqual([`nodePools.workers.${problem}`]);
  });

  test.each<[string, string, (value: object) => object]>([
    ["nodeSelector", "labels of nodes", (nodeSelector) => ({ nodeSelector })],
    ["resources.requests", "quantities", (requests) => ({ resources: { requests } })],
    ["resources.limits", "quantities", (limits) => ({ resources: { limits } })],
    ["labels", "labels", (labels) => ({ labels })],
    ["annotations", "annotations", (annotations) => ({ annotations })],
    [
      "metricsFrom[0].namespaceLabels",
      "labels of namespaces",
      (value) => ({ metricsFrom: [{ namespaceLabels: value }] }),
    ],
    ["metricsFrom[0].podLabels", "labels of pods", (podLabels) => ({ metricsFrom: [{ podLabels }] })],
    [
      "monitoring.podMonitor.labels",
      "labels",
      (labels) => ({ monitoring: { podMonitor: { labels } }, namespace: "network" }),
    ],
  ])("says how to write %s by an example that fits", (path, what, withValue) => {
    const [problem, ...others] = problems({ image, ...withValue([]) });
    const [start, example = ""] = problem?.split("; write it as in ") ?? [];
    expect(others).toEqual([]);
    expect(start).toBe(`nodePools.workers.${path}: expected a map of ${what}, found a list of 0`);
    const value = JSON.parse(example.replace(/(\w+): /g, '"$1": '));
    expect(problems({ image, ...withValue(value) })).toEqual([]);
    if (what !== "annotations") expect("cpu" in value).toBe(what === "quantities");
  });

  test("may not have an unknown property", () => {
    expect(problems({ image, selector: {} })[0]).toMatch(
      /^nodePools\.workers\.selector: expected a property that exists, found "selector"; use image, /,
    );
  });
});

describe("nodePools", () => {
  test.each([
    [null, "nothing"],
    [[], "a list of 0"],
    [{}, "an empty object"],
  ])("is a map of at least one node pool, not %j", (nodePools, found) => {
    expect(problemsOfMany({ traffic, nodePools }).slice(1)).toEqual([
      `nodePools: expected a map of at least one node pool, found ${found}; name a pool, as in { workers: { image } }`,
    ]);
  });

  test.each(["Workers", "a.b", "-a", "", "a".repeat(40)])("refuses a pool named %j", (key) => {
    const path = /^[A-Za-z]\w*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
    expect(problemsOfMany({ traffic, nodePools: { [key]: { image } } }).slice(1)).toEqual([
      `nodePools${path}: expected a pool name of 1 to 39 lower-case letters, digits and dashes, found ${JSON.stringify(key)}; rename the pool in this map`,
    ]);
  });

  test("may stand beside hosts", () => {
    expect(problems({ image }, { hosts: { web1: { local: true } } })).toEqual([]);
  });

  test("has another key than a host has", () => {
    expect(problems({ image }, { hosts: { workers: { local: true } } })).toEqual([
      'nodePools.workers: expected a pool name that no host has, found "workers"; rename the pool in this map',
    ]);
  });

  test("refuse to compile on the target, because a pod has no compiler", () => {
    expect(problems({ image }, { bpf: { compile: "deployer" } })).toEqual([]);
    expect(problems({ image }, { bpf: { compile: "target" } })).toEqual([
      'bpf.compile: expected "prebuilt" or "deployer", found "target"; a pod cannot compile; use "prebuilt" or "deployer"',
    ]);
  });
});
