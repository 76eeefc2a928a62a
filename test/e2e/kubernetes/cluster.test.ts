// SPDX-License-Identifier: Apache-2.0
import { spawn, spawnSync } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Cluster, lacking } from "./cluster/cluster.js";
import { asking, machineState, service, tracesOf, waitFor, web } from "./cluster/fixtures.js";

/*
 * Proves that the test bed is a Kubernetes whose nodes carry traffic, and that it is removed
 * without a trace. Not proven: DNS (there is none), memory limits in mode v2, volumes other than
 * those of the node and of objects, and whatever only a kernel of its own shows.
 */
const isSkipped = lacking !== undefined && !process.env.CI;
if (lacking !== undefined) console.warn(`test/e2e/kubernetes: expected ${lacking}, found none`);

interface Pod {
  readonly metadata: { readonly name: string };
  readonly spec: { readonly nodeName: string };
  readonly status: { readonly podIPs: readonly { readonly ip: string }[] };
}

describe.skipIf(isSkipped).each([
  { proxy: "nftables", mode: "hybrid" },
  { proxy: "iptables", mode: "v2" },
] as const)("two nodes, kube-proxy with $proxy, cgroups $mode", (options) => {
  const before = isSkipped ? {} : machineState();
  let cluster: Cluster;
  let pods: readonly Pod[];

  beforeAll(async () => {
    cluster = await Cluster.make(options);
    await cluster.apply(web(), service("IPv4"), service("IPv6"));
    await cluster.kubectl("rollout", "status", "deployment/web", "--timeout=90s");
    pods = await list("pods");
  });

  afterAll(async () => {
    await cluster?.down();
  });

  test("both nodes are Ready, and each has one of the Deployment's two pods", async () => {
    const nodes = await list<{
      metadata: { name: string };
      status: { conditions: { type: string; status: string }[] };
    }>("nodes");
    const ready = nodes.map(({ metadata, status }) => [
      metadata.name,
      status.conditions.find(({ type }) => type === "Ready")?.status,
    ]);
    expect(ready).toEqual([
      ["node-1", "True"],
      ["node-2", "True"],
    ]);
    expect(pods.map(({ spec }) => spec.nodeName).sort()).toEqual(["node-1", "node-2"]);
  });

  test("a pod reaches every pod over IPv4 and IPv6, on its node and on the other", async () => {
    for (const from of pods) {
      for (const to of pods) {
        expect(to.status.podIPs).toHaveLength(2);
        for (const { ip } of to.status.podIPs) expect(await ask(from, ip, 8080)).toBe(to.metadata.name);
      }
    }
  });

  test.each(["IPv4", "IPv6"])("a pod reaches both pods through the %s ClusterIP of their Service", async (family) => {
    const name = `web-${family.toLowerCase()}`;
    const ip = await cluster.kubectl("get", "service", name, "-o", "jsonpath={.spec.clusterIP}");
    expect(ip).toMatch(family === "IPv4" ? /^10\.96\./ : /^fd00:96::/);
    const [from] = pods as [Pod];
    const answers = new Set<string>();
    // Each connection goes to one of the two at random.
    for (let tries = 0; tries < 40 && answers.size < 2; tries++) answers.add(await ask(from, ip, 80));
    expect([...answers].sort()).toEqual(pods.map(({ metadata }) => metadata.name).sort());
  });

  test("a node's processes are in its namespaces and cgroups, and reach a pod on the other node", async () => {
    const [, other] = pods as [Pod, Pod];
    const node = cluster.node(other.spec.nodeName === "node-1" ? 2 : 1);
    expect(await node.run("hostname")).toBe(`${node.name}\n`);
    expect((await node.run("cat", "/proc/self/cgroup")).match(/^0::.*$/m)?.[0]).toBe("0::/");
    const ip = other.status.podIPs[0]?.ip ?? "";
    expect(await node.run("sh", "-c", asking(ip, 8080))).toBe(`${other.metadata.name}\n`);
  });

  test("a node that loses its power comes back with the same pods, and without what was in bpffs", async () => {
    const [pod] = pods as [Pod];
    const node = cluster.node(Number(pod.spec.nodeName.at(-1)));
    await node.run("mkdir", "/sys/fs/bpf/of-before");
    await node.stop();
    await node.start();
    await waitFor("the pod to run again", async () => {
      const [started] = await containersOf(pod.metadata.name);
      return started?.restartCount === 1 && started.ready;
    });
    expect(await node.run("ls", "/sys/fs/bpf")).not.toContain("of-before");
    const [again] = (await list<Pod>("pods")).filter(({ metadata }) => metadata.name === pod.metadata.name);
    const ips = again?.status.podIPs ?? [];
    expect(ips).toHaveLength(2);
    // A pod that runs may not listen yet.
    for (const { ip } of ips) {
      await waitFor(
        `the pod to answer at ${ip}`,
        async () => (await ask(pods[1] as Pod, ip, 8080)) === pod.metadata.name,
      );
    }
  });

  test("after down nothing of it is left, and the machine is as it was", async () => {
    expect(tracesOf(cluster.keeper)).not.toEqual([]);
    await cluster.down();
    expect(tracesOf(cluster.keeper)).toEqual([]);
    expect(machineState()).toEqual(before);
  });

  async function list<T = Pod>(what: string): Promise<readonly T[]> {
    return JSON.parse(await cluster.kubectl("get", what, "-o", "json")).items;
  }

  async function containersOf(pod: string): Promise<{ restartCount: number; ready: boolean }[]> {
    return JSON.parse(await cluster.kubectl("get", "pod", pod, "-o", "json")).status.containerStatuses;
  }

  async function ask(from: Pod, ip: string, port: number): Promise<string> {
    return (await cluster.kubectl("exec", from.metadata.name, "--", "sh", "-c", asking(ip, port))).trim();
  }
});

describe.skipIf(isSkipped)("a cluster that ends unexpectedly", () => {
  test("goes without a trace when the process that made it is killed", async () => {
    const { child, keeper } = await hold();
    expect(tracesOf(keeper)).not.toEqual([]);
    child.kill("SIGKILL");
    await waitFor("everything to be gone", () => tracesOf(keeper).length === 0);
  });

  test("ends when its keeper is killed, and the next keeper removes what is left", async () => {
    const { child, keeper } = await hold();
    process.kill(keeper, "SIGKILL");
    const processes = () => tracesOf(keeper).filter((trace) => /^\d+$/.test(trace));
    await waitFor("its processes to be gone", () => processes().length === 0);
    expect(tracesOf(keeper)).not.toEqual([]);
    spawnSync("sh", [join(__dirname, "cluster/cluster.sh"), "sweep"]);
    expect(tracesOf(keeper)).toEqual([]);
    child.kill();
  });

  /** Starts a process of its own that makes a cluster. */
  async function hold() {
    const child = spawn(process.execPath, ["--import", "tsx", join(__dirname, "cluster/hold.ts")], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const keeper = await new Promise<number>((done, fail) => {
      createInterface(child.stdout).on("line", (line) => done(Number(line)));
      child.once("exit", (code) => fail(new Error(`hold.ts: expected a cluster, found exit ${code}`)));
    });
    return { child, keeper };
  }
});
