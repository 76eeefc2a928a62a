// SPDX-License-Identifier: Apache-2.0
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { Cluster, lacking, type Node } from "./cluster/cluster.js";
import { Pool, redirectedOn, tracesOn } from "./pool.js";
import { Place, sleeper } from "./traffic.js";

/*
 * A node without bpffs, and the other mode of kube-proxy and of cgroups than node-pool.test.ts has. In order: each test goes on where the one before it
 * ended.
 */
vi.setConfig({ testTimeout: 400_000 });
const isSkipped = lacking !== undefined && !process.env.CI;

describe.skipIf(isSkipped)("on a node with iptables, cgroup v2 alone and no bpffs", () => {
  let cluster: Cluster;
  let node: Node;
  let pool: Pool;
  let one: Place;
  let two: Place;
  const mounts = async () =>
    (await node.run("cat", "/proc/mounts")).split("\n").filter((line) => line.split(" ")[2] === "bpf");

  beforeAll(async () => {
    cluster = await Cluster.make({ nodes: 1, proxy: "iptables", mode: "v2" });
    node = cluster.node(1);
    await node.run("umount", "/sys/fs/bpf");
    await cluster.apply(...sleeper("one", "node-1"), ...sleeper("two", "node-1"));
    await cluster.kubectl("wait", "pods", "--all", "--for=condition=Ready", "--timeout=60s");
    one = await Place.ofPod(cluster, node, "one");
    two = await Place.ofPod(cluster, node, "two");
    await two.serve();
    pool = new Pool(cluster);
  });

  afterAll(async () => {
    for (const place of [one, two]) place?.end();
    await pool?.end();
    await cluster?.down();
  });

  test("up fails and says that the node has no bpffs and what to do", async () => {
    pool.options = () => ({ customTimeouts: { create: "20s" } });
    const said = await pool.failure(pool.up());
    expect(said).toContain(
      "bpffs: expected one on the node, found none; mount it there (systemd does), or say mountBpffs: true",
    );
    expect(await mounts()).toEqual([]);
  });

  test("with mountBpffs up goes on: the node has a bpffs for root alone, and its pod is ready", async () => {
    pool.options = () => ({});
    pool.pool = { mountBpffs: true };
    expect((await pool.up()).changes).toEqual({ DaemonSet: "update" });
    expect((await pool.pods()).map(({ isReady, restarts }) => [isReady, restarts])).toEqual([[true, 0]]);
    const [mount = "", ...others] = await mounts();
    expect(others).toEqual([]);
    expect(mount).toMatch(/^\S+ \/sys\/fs\/bpf bpf rw,nosuid,nodev,noexec,.*mode=700 0 0$/);
  });

  test("a pod to the ClusterIP of a pod of its node is bypassed and every byte is in its place", async () => {
    for (const address of two.services) {
      const before = await redirectedOn(node);
      const { faults, least } = await one.exchange(address, 80);
      expect(faults).toEqual([]);
      expect(least).toBeGreaterThan(0);
      expect((await redirectedOn(node)) - before).toBeGreaterThan(least);
    }
  });

  test("destroy leaves nothing on the node but the mount, which is empty", async () => {
    const before = await mounts();
    await pool.destroy();
    expect(await tracesOn(node)).toEqual([]);
    expect(before).toHaveLength(1);
    expect(await mounts()).toEqual(before);
  });
});
