// SPDX-License-Identifier: Apache-2.0
// Long: what is declared for one pool, property by property.
import { gunzipSync } from "node:zlib";
import type { types } from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { expect, test } from "vitest";
import { BypassNodePool, type BypassNodePoolArgs, SocketBypass, type SocketBypassArgs } from "../../../src/index";
import { loadKubernetes } from "../../../src/targets/kubernetes/provider";
import { type Registered, record } from "../record";

const traffic = { everything: true };
const image = "registry.example.com/socket-bypass:1";
const many = (more: Partial<SocketBypassArgs> = {}, isPreview = false) =>
  record(() => new SocketBypass("edge", { traffic, nodePools: { workers: { image } }, ...more }), isPreview);
const one = (more: Partial<BypassNodePoolArgs> = {}, opts: pulumi.ComponentResourceOptions = {}) =>
  record(() => new BypassNodePool("pool", { traffic, image, ...more }, opts));
const named = (all: readonly Registered[], name: string): Registered => {
  const found = all.find((resource) => resource.name === name);
  if (found === undefined) throw new Error(`expected ${name}, found ${all.map((resource) => resource.name)}`);
  return found;
};
type DaemonSet = pulumi.UnwrappedObject<types.input.apps.v1.DaemonSet>;
const daemonSetOf = (all: readonly Registered[], name = "pool"): DaemonSet => {
  const { metadata, spec } = named(all, `${name}-loader`).inputs as DaemonSet;
  return { ...(metadata && { metadata }), ...(spec && { spec }) } as DaemonSet;
};
const podOf = (all: readonly Registered[], name?: string) => {
  const pod = daemonSetOf(all, name).spec?.template.spec;
  const [loader] = pod?.containers ?? [];
  if (!pod || !loader) throw new Error("expected a pod with a container, found none");
  return { pod, loader };
};

test("a BypassNodePool is a namespace, an account, a ConfigMap, a NetworkPolicy and a DaemonSet, and the SDK gets no arguments to keep", async () => {
  const all = await many();
  expect(all.map(({ type, name }) => [type, name]).sort()).toEqual([
    ["kubernetes:apps/v1:DaemonSet", "edge-workers-loader"],
    ["kubernetes:core/v1:ConfigMap", "edge-workers-files"],
    ["kubernetes:core/v1:Namespace", "edge-workers-namespace"],
    ["kubernetes:core/v1:ServiceAccount", "edge-workers-account"],
    ["kubernetes:networking.k8s.io/v1:NetworkPolicy", "edge-workers-network"],
    ["socket-bypass:index:BypassNodePool", "edge-workers"],
    ["socket-bypass:index:SocketBypass", "edge"],
  ]);
  const pool = named(all, "edge-workers");
  expect(pool).toMatchObject({ inputs: {}, parent: named(all, "edge").urn });
  for (const { parent, type } of all.filter(({ type }) => type.startsWith("kubernetes:")))
    expect([type, parent]).toEqual([type, pool.urn]);
});

test("a given instance is in the labels that select the pods and in their environment, but not in the owner", async () => {
  const given = "edge-workers-0a1b2c3d";
  const all = await many({ nodePools: { workers: { image, instance: given } } });
  const { spec } = daemonSetOf(all, "edge-workers");
  expect(spec?.selector.matchLabels).toMatchObject({ "app.kubernetes.io/instance": given });
  const { env } = podOf(all, "edge-workers").loader;
  expect(env).toContainEqual({ name: "INSTANCE", value: given });
  expect(env).toContainEqual({ name: "OWNER", value: expect.stringContaining("/edge/workers") });
});

test("the provider chooses every name, so that a new object can exist beside the old one", async () => {
  const kinds = (await many()).filter(({ type }) => type.startsWith("kubernetes:"));
  expect(kinds).toHaveLength(5);
  for (const { inputs, type } of kinds)
    expect([type, (inputs.metadata as { name?: string }).name]).toEqual([type, undefined]);
});

test("a namespace of its own allows what the pods need, and a given one is used as it is", async () => {
  const own = await one();
  expect(named(own, "pool-namespace").inputs.metadata).toMatchObject({
    labels: { "pod-security.kubernetes.io/enforce": "privileged" },
  });
  const given = await one({ namespace: "network" });
  expect(given.map(({ type }) => type).filter((type) => type.endsWith("Namespace"))).toEqual([]);
  for (const name of ["pool-account", "pool-files", "pool-loader"])
    expect(named(given, name).inputs.metadata).toMatchObject({ namespace: "network" });
});

test("the account and the pods get no token", async () => {
  const all = await one();
  expect(named(all, "pool-account").inputs.automountServiceAccountToken).toBe(false);
  expect(podOf(all).pod.automountServiceAccountToken).toBe(false);
});

test("the ConfigMap is immutable, has the files of both types of machine, and is small enough for kubectl apply", async () => {
  const { inputs, hideDiffs } = named(await one(), "pool-files");
  const { data, binaryData, immutable } = inputs as {
    data: Record<string, string>;
    binaryData: Record<string, string>;
    immutable: boolean;
  };
  expect(immutable).toBe(true);
  expect(Object.keys(data)).toEqual(["mounts.sh", "pod.sh"]);
  const files = Object.entries(binaryData).map(([name, text]): [string, Buffer] => [
    name,
    gunzipSync(Buffer.from(text, "base64")),
  ]);
  expect(files.map(([name]) => name)).toEqual([
    ...["flows.bpf.o.gz", "probe-aarch64.gz", "probe-x86_64.gz"],
    ...["redirect.bpf.o.gz", "socket-bypass.gz", "splice_fmod.bpf.o.gz"],
    ...["splice_lsm.bpf.o.gz", "track.bpf.o.gz"],
  ]);
  for (const [name, content] of files)
    expect([name, content.subarray(0, 4).toString("latin1")]).toEqual([
      name,
      name === "socket-bypass.gz" ? "#!/b" : "\x7fELF",
    ]);
  // With all optional files; `kubectl apply` keeps them in an annotation of at most 256 KiB.
  const all = named(await one({ adopt: true }), "pool-files").inputs;
  expect(JSON.stringify(all).length).toBeLessThan(256 * 1024);
  expect(hideDiffs).toEqual(["data", "binaryData"]);
});

test("adopt adds its object and changes the generation", async () => {
  const [plain, more] = [await one(), await one({ adopt: true, spliceGuard: "require" })];
  const files = named(more, "pool-files").inputs.binaryData as object;
  expect(Object.keys(files)).toEqual(expect.arrayContaining(["adopt.bpf.o.gz"]));
  expect(podOf(more).loader.args).toEqual(expect.arrayContaining(["--adopt", "--splice-guard", "require"]));
  const generation = (all: Registered[]) => podOf(all).loader.env?.find(({ name }) => name === "GENERATION")?.value;
  expect(generation(more)).toMatch(/^[0-9a-f]{12}$/);
  expect(generation(more)).not.toBe(generation(plain));
});

test("the container gets three capabilities, no other privilege, and a read-only root", async () => {
  const { pod, loader } = podOf(await one());
  expect(loader.securityContext).toEqual({
    privileged: false,
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    runAsUser: 0,
    runAsGroup: 0,
    capabilities: { drop: ["ALL"], add: ["BPF", "NET_ADMIN", "PERFMON"] },
  });
  expect(pod.securityContext).toEqual({ seccompProfile: { type: "RuntimeDefault" } });
  expect(pod).not.toHaveProperty("hostNetwork");
  expect(pod).not.toHaveProperty("hostPID");
  expect(pod).not.toHaveProperty("initContainers");
  expect(pod.volumes?.filter(({ hostPath }) => hostPath).map(({ hostPath }) => hostPath?.path)).toEqual([
    "/sys/fs/bpf",
    "/sys/fs/cgroup",
  ]);
});

test("the container mounts one folder of bpffs, and the cgroups read-only", async () => {
  const mounts = podOf(await one()).loader.volumeMounts?.filter(({ name }) => ["bpffs", "cgroup"].includes(`${name}`));
  expect(mounts).toEqual([
    { name: "bpffs", mountPath: "/bpffs/socket-bypass", subPath: "socket-bypass" },
    { name: "cgroup", mountPath: "/sys/fs/cgroup", readOnly: true },
  ]);
});

test("programs run from memory, because a node's disk may be mounted noexec", async () => {
  const { pod } = podOf(await one());
  expect(pod.volumes?.find(({ name }) => name === "state")).toEqual({
    name: "state",
    emptyDir: { medium: "Memory", sizeLimit: "32Mi" },
  });
});

test("only mountBpffs adds a privileged init container", async () => {
  const { pod } = podOf(await one({ mountBpffs: true }));
  expect(pod.initContainers).toMatchObject([
    {
      image,
      command: ["sh", "/opt/socket-bypass/pod.sh", "mount"],
      securityContext: { privileged: true, readOnlyRootFilesystem: true },
      volumeMounts: [{ name: "files" }, { name: "bpffs", mountPropagation: "Bidirectional" }],
    },
  ]);
});

test("in a namespace of its own, only those who may read the metrics reach the pods, and the pods reach nobody", async () => {
  const specOf = async (more: Partial<BypassNodePoolArgs> = {}) => {
    const all = await one(more);
    const { podSelector, ...spec } = named(all, "pool-network").inputs.spec as Record<string, unknown>;
    expect(podSelector).toEqual({ matchLabels: daemonSetOf(all).spec?.selector.matchLabels });
    return spec;
  };
  const nobody = { policyTypes: ["Ingress", "Egress"], ingress: [], egress: [] };
  expect(await specOf()).toEqual(nobody);
  // An empty list of peers would let everybody in.
  expect(await specOf({ metricsFrom: [] })).toEqual(nobody);
  const readers = [
    { namespaceLabels: { "kubernetes.io/metadata.name": "monitoring" }, podLabels: { app: "prometheus" } },
    { podLabels: { app: pulumi.output("prometheus") } },
    { namespaceLabels: {} },
    { cidr: "10.1.0.0/16" },
  ];
  const from = [
    {
      namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "monitoring" } },
      podSelector: { matchLabels: { app: "prometheus" } },
    },
    { podSelector: { matchLabels: { app: "prometheus" } } },
    { namespaceSelector: { matchLabels: {} } },
    { ipBlock: { cidr: "10.1.0.0/16" } },
  ];
  const ports = [{ port: 8080, protocol: "TCP" }];
  expect(await specOf({ metricsFrom: readers })).toEqual({ ...nobody, ingress: [{ from, ports }] });
});

test("in a given namespace, a NetworkPolicy is made only with metricsFrom", async () => {
  const kinds = async (more: object) => (await one({ namespace: "network", ...more })).map(({ type }) => type);
  const policy = "kubernetes:networking.k8s.io/v1:NetworkPolicy";
  expect(await kinds({})).not.toContain(policy);
  expect(await kinds({ metricsFrom: [{ cidr: "10.1.0.0/16" }] })).toContain(policy);
});

test("monitoring adds scrape annotations to the pods, which the user's own override", async () => {
  const metricsFrom = [{ namespaceLabels: { "kubernetes.io/metadata.name": "monitoring" } }];
  const annotationsOf = async (more: Partial<BypassNodePoolArgs>) => {
    const { metadata, spec } = daemonSetOf(await one({ metricsFrom, ...more }));
    const its = Object.entries(spec?.template.metadata?.annotations ?? {});
    expect(Object.keys(metadata?.annotations ?? {}).filter((key) => key.startsWith("prometheus.io/"))).toEqual([]);
    return Object.fromEntries(its.filter(([key]) => key !== "socket-bypass/generation"));
  };
  expect(await annotationsOf({})).toEqual({});
  expect(await annotationsOf({ monitoring: { annotations: false } })).toEqual({});
  const usual = { "prometheus.io/scrape": "true", "prometheus.io/port": "8080", "prometheus.io/path": "/metrics" };
  expect(await annotationsOf({ monitoring: { annotations: pulumi.output(true) } })).toEqual(usual);
  const own = { "prometheus.io/path": "/other" };
  expect(await annotationsOf({ monitoring: { annotations: true }, namespace: "network" })).toEqual(usual);
  const both = await one({ metricsFrom, monitoring: { annotations: true }, annotations: own });
  expect(daemonSetOf(both).spec?.template.metadata?.annotations).toMatchObject({ ...usual, ...own });
  expect(podOf(both).loader.ports).toEqual([{ name: "metrics", containerPort: 8080 }]);
});

test("monitoring adds a PodMonitor that selects the pods by their labels, and the port by its name", async () => {
  const metricsFrom = [{ cidr: "10.1.0.0/16" }];
  const all = await one({ metricsFrom, monitoring: { podMonitor: { labels: { release: "prometheus" } } } });
  const { type, inputs, parent } = named(all, "pool-monitor");
  const own = daemonSetOf(all).spec?.selector.matchLabels;
  expect({ type, parent }).toEqual({
    type: "kubernetes:monitoring.coreos.com/v1:PodMonitor",
    parent: named(all, "pool").urn,
  });
  expect(inputs).toMatchObject({
    ...{ apiVersion: "monitoring.coreos.com/v1", kind: "PodMonitor" },
    metadata: { labels: { ...own, release: "prometheus" } },
    spec: {
      selector: { matchLabels: own },
      podMetricsEndpoints: [
        {
          ...{ port: podOf(all).loader.ports?.[0]?.name, path: "/metrics", interval: "30s" },
          relabelings: [
            { sourceLabels: ["__meta_kubernetes_pod_node_name"], targetLabel: "node" },
            { sourceLabels: ["__meta_kubernetes_pod_node_name"], targetLabel: "instance" },
          ],
        },
      ],
    },
  });
  const slow = await one({ metricsFrom, monitoring: { podMonitor: { intervalSeconds: 60 } } });
  expect(named(slow, "pool-monitor").inputs.spec).toMatchObject({ podMetricsEndpoints: [{ interval: "60s" }] });
  expect((await one({ metricsFrom })).map(({ name }) => name)).not.toContain("pool-monitor");
  // It is no part of the pods, so nothing else changes.
  expect(named(all, "pool-loader")).toEqual(named(await one({ metricsFrom }), "pool-loader"));
});

test("the arguments become those of the host script", async () => {
  const all = await one({
    traffic: { ports: ["6379"], cidrs: ["10.0.0.0/8"] },
    ...{ enabled: false, cgroup: "/kubepods.slice", takeOver: true, selfTest: { timeoutSeconds: 20 } },
    limits: { queueBytes: 65536, refreshSeconds: 60, sockets: 4096, pendingPairs: 512 },
  });
  expect(podOf(all).loader.args?.join(" ")).toBe(
    "--cgroup /kubepods.slice --ports 6379 --cidrs 10.0.0.0/8 --enabled false --queue-bytes 65536 --refresh-seconds 60 " +
      "--sockets 4096 --pending 512 --timeout 20 --take-over",
  );
  const off = await one({ selfTest: { enabled: false } });
  expect(podOf(off).loader.args?.join(" ")).toBe(
    "--cgroup / --everything --enabled true --sockets 65536 --pending 8192 --off",
  );
});

test("a new pod starts before the old one stops, and the grace period is longer than a drain", async () => {
  const all = await one({ maxSurge: "25%", drainSeconds: 100, selfTest: { timeoutSeconds: 30 } });
  const { spec } = daemonSetOf(all);
  expect(spec?.updateStrategy).toEqual({
    type: "RollingUpdate",
    rollingUpdate: { maxSurge: "25%", maxUnavailable: 0 },
  });
  expect(daemonSetOf(await one()).spec?.updateStrategy?.rollingUpdate?.maxSurge).toBe(1);
  const { pod, loader } = podOf(all);
  expect(pod.terminationGracePeriodSeconds).toBeGreaterThan(2 * 100 + 30);
  expect(loader.env?.find(({ name }) => name === "DRAIN_SECONDS")?.value).toBe("100");
  expect(loader.lifecycle?.preStop?.exec?.command).toEqual(["sh", "/opt/socket-bypass/pod.sh", "stop"]);
});

test("all probes run the health check, and start-up leaves time for the self-test", async () => {
  const { loader } = podOf(await one({ selfTest: { timeoutSeconds: 600 } }));
  // No probe uses a port, because others could keep it busy.
  for (const probe of [loader.startupProbe, loader.readinessProbe, loader.livenessProbe])
    expect(probe).toMatchObject({ exec: { command: ["sh", "/opt/socket-bypass/pod.sh", "health"] } });
  expect(loader.startupProbe).toMatchObject({ periodSeconds: 1 });
  expect(loader.startupProbe?.failureThreshold).toBeGreaterThan(600);
});

test("the pods tolerate all taints by default, and scheduling options reach them", async () => {
  const usual = podOf(await one()).pod;
  expect(usual.tolerations).toEqual([{ operator: "Exists" }]);
  expect(usual).not.toHaveProperty("nodeSelector");
  const { pod, loader } = podOf(
    await one({
      nodeSelector: { pool: "web" },
      tolerations: [{ key: "web", effect: "NoSchedule" }],
      priorityClassName: "system-node-critical",
      imagePullSecrets: ["registry"],
      imagePullPolicy: "Never",
      resources: { requests: { cpu: "1" }, limits: { memory: "1Gi" } },
    }),
  );
  expect(pod).toMatchObject({
    nodeSelector: { pool: "web" },
    tolerations: [{ key: "web", effect: "NoSchedule" }],
    priorityClassName: "system-node-critical",
    imagePullSecrets: [{ name: "registry" }],
  });
  expect(loader).toMatchObject({
    imagePullPolicy: "Never",
    resources: { requests: { cpu: "1" }, limits: { memory: "1Gi" } },
  });
});

test("labels and annotations are on the DaemonSet and its pods, and do not change the selector", async () => {
  const { metadata, spec } = daemonSetOf(await one({ labels: { team: "web" }, annotations: { note: "x" } }));
  const own = spec?.selector.matchLabels;
  expect(Object.keys(own ?? {}).sort()).toEqual(["app.kubernetes.io/instance", "app.kubernetes.io/name"]);
  for (const its of [metadata, spec?.template.metadata]) {
    expect(its?.labels).toEqual({ ...own, team: "web" });
    expect(its?.annotations).toMatchObject({ note: "x", "socket-bypass/generation": expect.any(String) });
  }
});

test("a changed policy changes only the DaemonSet", async () => {
  const [before, after] = [await one(), await one({ traffic: { ports: ["80"] } })];
  const changed = before.filter((was) => JSON.stringify(was) !== JSON.stringify(named(after, was.name)));
  expect(changed.map(({ name }) => name)).toEqual(["pool-loader"]);
});

test("two pools share neither labels nor owner", async () => {
  const all = await many({ nodePools: { a: { image }, b: { image } } });
  const pods = ["edge-a", "edge-b"].map((name) => daemonSetOf(all, name).spec);
  const values = pods.map((spec) => spec?.template.spec?.containers[0]?.env?.slice(0, 3).map(({ value }) => value));
  expect(values[0]?.[2]).toBe("shop/prod/edge/a");
  expect(values[1]?.[2]).toBe("shop/prod/edge/b");
  expect(values[0]?.[1]).toBe(values[1]?.[1]);
  expect(values[0]?.[0]).not.toBe(values[1]?.[0]);
  const instances = pods.map((spec) => spec?.selector.matchLabels?.["app.kubernetes.io/instance"]);
  expect(instances).toEqual(values.map((its) => its?.[0]));
});

test("the component's options apply to its objects", async () => {
  const all = await record(() => {
    const cluster = new pulumi.ComponentResource("test:index:Cluster", "cluster");
    new BypassNodePool(
      "pool",
      { traffic, image },
      {
        protect: true,
        retainOnDelete: true,
        deletedWith: cluster,
        customTimeouts: { create: "7m" },
        dependsOn: [cluster],
      },
    );
  });
  const kinds = all.filter(({ type }) => type.startsWith("kubernetes:"));
  expect(kinds).toHaveLength(5);
  for (const its of kinds) {
    expect(its).toMatchObject({ protect: true, retainOnDelete: true, deletedWith: named(all, "cluster").urn });
    expect(its.timeouts?.create).toBe("7m");
  }
});

test("the outputs report generation and namespace of each pool", async () => {
  let reports: unknown;
  await record(async () => {
    // Mocks return their inputs, so the namespace must be a given one.
    const made = new SocketBypass("edge", { traffic, nodePools: { workers: { image, namespace: "network" } } });
    reports = await new Promise((done) => {
      pulumi.all([made.nodePools, made.generation, made.hosts, made.logins]).apply(done);
    });
  });
  const [pools, generation, hosts, logins] = reports as [object, string, object, object];
  expect(logins).toEqual({
    workers: {
      instance: expect.stringMatching(/^edge-workers-[0-9a-f]{8}$/),
      nodePool: { namespace: "network", daemonSet: "edge-workers-loader" },
    },
  });
  expect(hosts).toEqual({});
  expect(generation).toMatch(/^[0-9a-f]{12}$/);
  expect(pools).toMatchObject({ workers: { generation, namespace: "network" } });
});

test("a name that Kubernetes would refuse registers no object", async () => {
  const all = await record(() => {
    expect(
      () => new SocketBypass("Edge", { traffic, hosts: { a: { local: true } }, nodePools: { workers: { image } } }),
    ).toThrow(
      'nodePools.workers: expected a name of at most 40 lower-case letters, digits and dashes, found "Edge-workers"; ' +
        "rename it, for Kubernetes names the objects of the pool after it",
    );
    expect(() => new BypassNodePool("a.b", { traffic, image })).toThrow(
      'name: expected a name of at most 40 lower-case letters, digits and dashes, found "a.b"',
    );
  });
  expect(all.map(({ name }) => name).sort()).toEqual(["Edge", "a.b"]);
});

test("without @pulumi/kubernetes the error says what to install", () => {
  const missing = Object.assign(new Error("Cannot find module '@pulumi/kubernetes'"), { code: "MODULE_NOT_FOUND" });
  const load = (error: Error) => () =>
    loadKubernetes(() => {
      throw error;
    });
  expect(load(missing)).toThrow(
    "socket-bypass: nodePools: expected the package @pulumi/kubernetes, found none; type: npm install @pulumi/kubernetes@4",
  );
  const inner = Object.assign(new Error("Cannot find module 'glob'"), { code: "MODULE_NOT_FOUND" });
  expect(load(inner)).toThrow(inner);
});
