// SPDX-License-Identifier: Apache-2.0
// Long: one cluster, whose tests follow on one another.
import * as fs from "node:fs";
import { join } from "node:path";
import * as kubernetes from "@pulumi/kubernetes";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { Cluster, lacking } from "./cluster/cluster.js";
import { startFirewall } from "./firewall.js";
import { exhaustLoader, Pool, redirectedOn, servingOn, tracesOn, until } from "./pool.js";
import { Place, port, sleeper } from "./traffic.js";

/*
 * Follows one node pool through its life: each test continues where the previous one ended. Traffic
 * runs in the network namespaces of pods and in the cgroup of their node.
 * docs/contributing/testing.md says what is not proven here.
 */
vi.setConfig({ testTimeout: 400_000 });
const isSkipped = lacking !== undefined && !process.env.CI;

describe.skipIf(isSkipped)("a node pool", () => {
  let cluster: Cluster;
  let pool: Pool;
  /** Two pods on the first node, one on the second. */
  let one: Place;
  let two: Place;
  let far: Place;
  const owners = async () => {
    const found = await Promise.all([1, 2].map((number) => servingOn(cluster.node(number))));
    return found.map((its) => its?.owner.split("/").at(-1));
  };
  const uids = async () => (await pool.pods()).map(({ uid }) => uid);
  const areReady = async () => {
    const pods = await pool.pods();
    return pods.length === 2 && pods.every(({ isReady }) => isReady);
  };

  beforeAll(async () => {
    cluster = await Cluster.make();
    await cluster.apply(...sleeper("one", "node-1"), ...sleeper("two", "node-1"), ...sleeper("far", "node-2"));
    await cluster.kubectl("wait", "pods", "--all", "--for=condition=Ready", "--timeout=60s");
    one = await Place.ofPod(cluster, cluster.node(1), "one");
    two = await Place.ofPod(cluster, cluster.node(1), "two");
    far = await Place.ofPod(cluster, cluster.node(2), "far");
    for (const place of [one, two, far]) await place.serve();
    pool = new Pool(cluster);
    // A later test reaches this limit.
    pool.pool = { resources: { limits: { memory: "128Mi" } } };
  });

  afterAll(async () => {
    for (const place of [one, two, far]) place?.end();
    await pool?.end();
    await cluster?.down();
  });

  test("up creates five objects, and each node is served by its pod", async () => {
    const { changes } = await pool.up();
    expect(changes).toEqual({
      ...{ Namespace: "create", ServiceAccount: "create", ConfigMap: "create" },
      ...{ NetworkPolicy: "create", DaemonSet: "create" },
    });
    const pods = await pool.pods();
    expect(pods.map(({ node, isReady, restarts }) => [node, isReady, restarts])).toEqual([
      ["node-1", true, 0],
      ["node-2", true, 0],
    ]);
    expect(await owners()).toEqual(await uids());
    const { generation } = await pool.outputs();
    expect((await servingOn(cluster.node(1)))?.generation).toBe(generation);
  });

  test("an idle pod is two processes, one with three capabilities and less than 16 MiB, and one without capabilities", async () => {
    for (const { name } of await pool.pods()) {
      const { namespace } = await pool.outputs();
      const status = await cluster.kubectl("exec", "-n", namespace, name, "--", "cat", "/proc/1/status");
      expect(status).toMatch(/^CapBnd:\t000000c000001000$/m);
      expect(status).toMatch(/^Seccomp:\t2$/m);
      expect(Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1])).toBeLessThan(16 * 1024);
      // A probe of the kubelet may run just then, but is not one of them.
      const look =
        'for p in /proc/[0-9]*; do echo "$(cat $p/comm) $(sed -n "s/^CapEff:.//p" $p/status)"; done 2>/dev/null';
      const processes = await cluster.kubectl("exec", "-n", namespace, name, "--", "sh", "-c", look);
      const ours = processes.split("\n").filter((line) => line.startsWith("probe-"));
      expect(ours.map((line) => line.split(" ")[1])).toEqual(["000000c000001000", "0000000000000000"]);
    }
  });

  test("a scrape of a pod returns the node's counters, and whoever may exec in the pod can read its health", async () => {
    const { namespace } = await pool.outputs();
    const [{ name } = { name: "" }] = await pool.pods();
    const run = (...words: string[]) => cluster.kubectl("exec", "-n", namespace, name, "--", ...words);
    expect(await run("sh", "/opt/socket-bypass/pod.sh", "health")).toMatch(
      /^ok: generation [0-9a-f]{12} is attached to \/sys\/fs\/cgroup/,
    );
    const metrics = await run("wget", "-q", "-O", "-", "http://127.0.0.1:8080/metrics");
    expect(metrics).toMatch(/^socket_bypass_healthy\{instance="edge-workers-[0-9a-f]{8}"\} 1$/m);
    expect(metrics).toMatch(/# EOF\n$/);
  });

  test("the log says that cgroups below the folder of cgroupRoot are not mounted read-only", async () => {
    const { namespace } = await pool.outputs();
    const [{ name } = { name: "" }] = await pool.pods();
    expect(await cluster.kubectl("logs", "-n", namespace, name)).toContain(
      "note: /sys/fs/cgroup/unified: expected cgroups that are mounted read-only, found that this pod may write to them; " +
        "name cgroup v2 itself (cgroupRoot), not a folder above it",
    );
  });

  test("a second preview finds nothing to change", async () => {
    expect((await pool.preview()).changes).toEqual({});
  });

  /** How many messages each node redirected while `run` ran. */
  async function during(run: () => Promise<unknown>) {
    const count = () => Promise.all([1, 2].map((number) => redirectedOn(cluster.node(number))));
    const before = await count();
    await run();
    return (await count()).map((value, at) => value - (before[at] ?? 0));
  }

  test.each([
    ["pod to pod over IPv4", () => one.exchange(two.addresses[0] ?? "")],
    ["pod to pod over IPv6", () => one.exchange(two.addresses[1] ?? "")],
    ["pod to the ClusterIP of a pod over IPv4", () => one.exchange(two.services[0] ?? "", 80)],
    ["pod to the ClusterIP of a pod over IPv6", () => one.exchange(two.services[1] ?? "", 80)],
    ["the node's own network to a pod", () => Place.ofNode(cluster.node(1)).exchange(two.addresses[0] ?? "")],
  ])("on one node, every byte is bypassed and in its place: %s", async (_, exchange) => {
    let talked: Awaited<ReturnType<typeof exchange>> | undefined;
    const [here = 0, there] = await during(async () => {
      talked = await exchange();
    });
    expect(talked?.faults).toEqual([]);
    expect(talked?.least).toBeGreaterThan(0);
    expect(here).toBeGreaterThan(talked?.least ?? 0);
    expect(there).toBe(0);
  });

  test.each([
    ["to a pod", () => one.exchange(far.addresses[0] ?? "")],
    ["to the ClusterIP of a pod", () => one.exchange(far.services[0] ?? "", 80)],
  ])("across nodes, traffic %s stays TCP", async (_, exchange) => {
    let talked: Awaited<ReturnType<typeof exchange>> | undefined;
    const redirected = await during(async () => {
      talked = await exchange();
    });
    expect(talked?.faults).toEqual([]);
    expect(talked?.least).toBeGreaterThan(0);
    expect(redirected).toEqual([0, 0]);
  });

  test("a changed policy updates only the DaemonSet, and is in force when up ends", async () => {
    pool.args = { traffic: { ports: ["6379"] } };
    expect((await pool.up()).changes).toEqual({ DaemonSet: "update" });
    const exchange = () => one.exchange(two.addresses[0] ?? "");
    expect(await during(exchange)).toEqual([0, 0]);
    pool.args = { traffic: { ports: [`${port}`] } };
    await pool.up();
    expect((await during(exchange))[0]).toBeGreaterThan(0);
    expect(await owners()).toEqual(await uids());
  });

  test("a new generation replaces the ConfigMap, updates the DaemonSet, and takes over under load without losing a byte", async () => {
    const before = await pool.outputs();
    const talk = await one.talk(two.addresses[0] ?? "");
    pool.args = { adopt: true };
    expect((await pool.up()).changes).toEqual({
      ConfigMap: "create-replacement replace delete-replaced",
      DaemonSet: "update",
    });
    const { faults, least } = await talk.stop();
    expect(faults).toEqual([]);
    expect(least).toBeGreaterThan(0);
    const after = await pool.outputs();
    expect(after.generation).not.toBe(before.generation);
    expect(after.daemonSet).toBe(before.daemonSet);
    expect(await owners()).toEqual(await uids());
    expect((await servingOn(cluster.node(1)))?.generation).toBe(after.generation);
    expect((await during(() => one.exchange(two.addresses[0] ?? "")))[0]).toBeGreaterThan(0);
  });

  test("a loader that the kernel kills for lack of memory restarts, and its node is served meanwhile", async () => {
    const talk = await one.talk(two.addresses[0] ?? "");
    const before = await servingOn(cluster.node(1));
    await exhaustLoader(cluster.node(1));
    const redirected = await during(() => one.exchange(two.addresses[0] ?? ""));
    expect(redirected[0]).toBeGreaterThan(0);
    await until("the container to run again", async () => {
      const [pod] = await pool.pods();
      return pod?.restarts === 1 && pod.isReady;
    });
    expect((await pool.pods())[0]?.reason).toBe("OOMKilled");
    expect(await servingOn(cluster.node(1))).toEqual(before);
    expect((await talk.stop()).faults).toEqual([]);
  });

  test("a program that was detached by hand is attached again", async () => {
    const detach = `cd /sys/fs/bpf/socket-bypass/*/$(basename $(readlink /sys/fs/bpf/socket-bypass/*/serving)) &&
      bpftool cgroup detach /sys/fs/cgroup/unified sock_ops pinned track`;
    await cluster.node(1).run("sh", "-c", detach);
    expect(await during(() => one.exchange(two.addresses[0] ?? ""))).toEqual([0, 0]);
    await until("the pod to be ready again", async () => (await pool.pods())[0]?.restarts === 2 && (await areReady()));
    expect((await during(() => one.exchange(two.addresses[0] ?? "")))[0]).toBeGreaterThan(0);
  });

  test("if the self-test of a new pod fails, the old pod keeps serving, up says why, and succeeds once the fault is gone", async () => {
    const [sound, faulty] = [cluster.node(1), cluster.node(2)];
    const nearby = Place.ofNode(faulty);
    const talk = await nearby.talk(far.addresses[0] ?? "");
    const before = await servingOn(faulty);
    const stopFirewall = await startFirewall(faulty);
    pool.args = { limits: { sockets: 4096 } };
    pool.options = () => ({ customTimeouts: { update: "30s" } });
    const said = await pool.failure(pool.up());
    expect(said).toMatch(
      /selftest: expected every case to pass, found ipv6 failed \(exit 1\): .*"error":"connect failed","errno":"EPERM"/,
    );
    // The new pod tries again and again, and its trials have counters of their own.
    expect(await servingOn(faulty)).toEqual(before);
    const count = () => redirectedOn(faulty, before?.generation);
    const redirected = await count();
    expect((await nearby.exchange(far.addresses[0] ?? "")).faults).toEqual([]);
    expect(await count()).toBeGreaterThan(redirected);
    // Either node may have come first, so the other one has its new pod or still its old one.
    const ready = (await pool.pods()).filter(({ node, isReady }) => node === sound.name && isReady);
    expect(ready.map(({ uid }) => uid)).toEqual([(await owners())[0]]);
    await stopFirewall();
    pool.options = () => ({});
    await pool.up();
    expect(await owners()).toEqual(await uids());
    const { generation } = await pool.outputs();
    expect((await servingOn(faulty))?.generation).toBe(generation);
    expect((await talk.stop()).faults).toEqual([]);
  });

  test("a pod that is deleted by force is replaced by one that serves", async () => {
    const { namespace } = await pool.outputs();
    const [before] = await pool.pods();
    await cluster.kubectl("delete", "pod", "-n", namespace, before?.name ?? "", "--force", "--grace-period=0");
    await until("another pod to serve the node", async () => {
      const [owner] = await owners();
      return owner !== before?.uid && (await areReady()) && owner === (await uids())[0];
    });
    expect((await during(() => one.exchange(two.addresses[0] ?? "")))[0]).toBeGreaterThan(0);
  });

  test("a node whose power failed is served again", async () => {
    await cluster.node(2).stop();
    await cluster.node(2).start();
    await until(
      "the pod to serve the node again",
      async () => (await areReady()) && (await owners())[1] === (await uids())[1],
    );
    far.end();
    await until("its other pod to run", async () => {
      far = await Place.ofPod(cluster, cluster.node(2), "far");
      return await far.serve().then(
        () => true,
        () => false,
      );
    });
    const redirected = await during(() => Place.ofNode(cluster.node(2)).exchange(far.addresses[0] ?? ""));
    expect(redirected[1]).toBeGreaterThan(0);
  });

  test("a node that leaves the selector is drained and cleaned up, and served again when it comes back", async () => {
    await cluster.kubectl("label", "nodes", "--all", "pool=web");
    pool.pool = { nodeSelector: { pool: "web" } };
    await pool.up();
    const talk = await Place.ofNode(cluster.node(2)).talk(far.addresses[0] ?? "");
    await cluster.kubectl("label", "node", "node-2", "pool-");
    await until("the pod to be gone", async () => (await pool.pods()).length === 1);
    expect(await tracesOn(cluster.node(2))).toEqual([]);
    expect((await talk.stop()).faults).toEqual([]);
    expect((await servingOn(cluster.node(1)))?.owner).toContain((await uids())[0]);
    await cluster.kubectl("label", "node", "node-2", "pool=web");
    await until("both nodes to be served", async () => (await areReady()) && (await owners())[1] === (await uids())[1]);
  });

  test("destroy loses no byte under load and leaves nothing on the nodes", async () => {
    const talk = await one.talk(two.addresses[0] ?? "");
    await pool.destroy();
    const { faults, least } = await talk.stop();
    expect(faults).toEqual([]);
    expect(least).toBeGreaterThan(0);
    for (const number of [1, 2]) expect(await tracesOn(cluster.node(number))).toEqual([]);
    expect(await pool.pods()).toEqual([]);
  });

  test("in a namespace that forbids the pods, up fails and says why", async () => {
    const namespace = {
      apiVersion: "v1",
      kind: "Namespace",
      metadata: { name: "strict", labels: { [level]: "restricted" } },
    };
    await cluster.apply(namespace);
    const strict = new Pool(cluster);
    strict.pool = { namespace: "strict" };
    // A DaemonSet without pods is gone so quickly that the provider may miss it
    // (docs/how-to/troubleshoot-pool.md).
    strict.options = () => ({ customTimeouts: { create: "10s", delete: "10s" } });
    try {
      const said = await strict.failure(strict.up());
      expect(said).toMatch(
        /FailedCreate: Error creating: pods "edge-workers-loader-\S+" is forbidden: violates PodSecurity "restricted:latest"/,
      );
    } finally {
      await strict.end();
    }
    for (const number of [1, 2]) expect(await tracesOn(cluster.node(number))).toEqual([]);
  });

  test("the API server accepts the manifests that are rendered instead", async () => {
    const rendered = new Pool(cluster);
    const folder = join(rendered.folder, "manifests");
    rendered.options = () => ({
      providers: { kubernetes: new kubernetes.Provider("rendered", { renderYamlToDirectory: folder }) },
    });
    rendered.pool = { namespace: "default", mountBpffs: true, metricsFrom: [{ namespaceLabels: { team: "web" } }] };
    try {
      await rendered.up();
      const files = fs.readdirSync(join(folder, "1-manifest")).sort();
      expect(files.map((file) => file.replace(/-[0-9a-f]{8}\.yaml$/, ""))).toEqual([
        "apps_v1-daemonset-default-edge-workers-loader",
        "networking.k8s.io_v1-networkpolicy-default-edge-workers-network",
        "v1-configmap-default-edge-workers-files",
        "v1-serviceaccount-default-edge-workers-account",
      ]);
      const answer = await cluster.kubectl("apply", "--dry-run=server", "-f", join(folder, "1-manifest"));
      expect(answer.match(/created \(server dry run\)$/gm)).toHaveLength(4);
    } finally {
      await rendered.end();
    }
  });
});

const level = "pod-security.kubernetes.io/enforce";

test.skipIf(isSkipped)("a preview needs no cluster", async () => {
  const away = new Pool({} as Cluster, "/nonexistent/kubeconfig");
  try {
    expect((await away.preview()).changes).toEqual({
      ...{ Namespace: "create", ServiceAccount: "create", ConfigMap: "create" },
      ...{ NetworkPolicy: "create", DaemonSet: "create" },
    });
  } finally {
    await away.end();
  }
});
