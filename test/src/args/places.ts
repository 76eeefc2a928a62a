// SPDX-License-Identifier: Apache-2.0
// All arguments as a tree, so that a test can put something wrong at each path.
import * as pulumi from "@pulumi/pulumi";

const login = {
  ...{ host: "10.0.0.11", port: 22, user: "ops", password: "x", privateKey: "x", privateKeyPassword: "x" },
  ...{ agentSocketPath: "/run/agent", hostKey: "x", dialErrorLimit: 1, perDialTimeout: 1 },
};
/** Has every property, because users may put a password into any of them by mistake. */
export const everything = {
  traffic: { ports: ["80"], cidrs: ["10.0.0.0/8"], everything: false },
  ...{ enabled: true, cgroup: "/", bpf: { compile: "prebuilt" }, selfTest: { enabled: true, timeoutSeconds: 9 } },
  ...{
    limits: { queueBytes: 65536, refreshSeconds: 60, sockets: 64, pendingPairs: 64 },
    takeOver: false,
    adopt: false,
  },
  ...{ spliceGuard: "auto", detectDrift: false, rollout: { canary: ["web"], batchSize: 1 } },
  hosts: {
    web: {
      connection: { ...login, proxy: login },
      ...{
        allowUnknownHostKey: false,
        machine: "x86_64",
        machineId: "vm-1",
        become: "sudo -n",
        stateDir: "/opt/sb",
        boot: true,
        instance: "web-1",
      },
    },
  },
  nodePools: {
    workers: {
      ...{ image: "one", imagePullPolicy: "Always", imagePullSecrets: ["pull"], namespace: "one" },
      ...{ nodeSelector: { pool: "web" }, maxSurge: "1", priorityClassName: "high" },
      tolerations: [{ key: "a", operator: "Equal", value: "b", effect: "NoSchedule", tolerationSeconds: 1 }],
      resources: { requests: { cpu: "1" }, limits: { cpu: "1" } },
      ...{ labels: { a: "b" }, annotations: { a: "b" }, bpffs: "/sys/fs/bpf", mountBpffs: false },
      metricsFrom: [{ namespaceLabels: { a: "b" }, podLabels: { a: "b" } }, { cidr: "10.0.0.0/8" }],
      monitoring: { annotations: true, podMonitor: { labels: { a: "b" }, intervalSeconds: 30 } },
      ...{ cgroupRoot: "/sys/fs/cgroup", drainSeconds: 1, instance: "workers-1" },
    },
  },
};
export type Tree = Record<string, unknown>;

function placesIn(tree: unknown, path: readonly string[] = []): string[][] {
  if (typeof tree !== "object" || tree === null) return [[...path]];
  return [[...path], ...Object.entries(tree).flatMap(([key, one]) => placesIn(one, [...path, key]))];
}

export function put(path: readonly string[], value: unknown, tree: unknown = everything): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return value;
  if (Array.isArray(tree)) return tree.map((one, at) => (`${at}` === key ? put(rest, value, one) : one));
  const { [key]: inside, ...others } = tree as Tree;
  return { ...others, [key]: put(rest, value, inside) };
}

export const places = placesIn(everything).filter((path) => path.length > 0);
/** Leaves out lists: errors show a text that stands in place of a list, to help correct it. */
export const objects = places.filter((path) => {
  const there = path.reduce<unknown>((at, key) => (at as Tree)[key], everything);
  return isObject(there) && !Array.isArray(there);
});
export const nameOf = (path: readonly string[]) => path.join(".");

export function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null && !pulumi.Output.isInstance(value);
}
