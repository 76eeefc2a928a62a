// SPDX-License-Identifier: Apache-2.0
import { expect, onTestFinished, test, vi } from "vitest";
import { Cluster, lacking } from "./cluster/cluster.js";
import { Pool, redirectedOn, tracesOn } from "./pool.js";
import { Place, sleeper } from "./traffic.js";

vi.setConfig({ testTimeout: 400_000 });

// The other mode of kube-proxy and of cgroups; node-pool.test.ts has nftables and a node with cgroup v1 beside v2.
test.skipIf(lacking !== undefined && !process.env.CI)(
  "with iptables, on nodes with cgroup v2 alone, a pod to the ClusterIP of a pod of its node is bypassed and every byte is in its place",
  async () => {
    const cluster = await Cluster.make({ nodes: 1, proxy: "iptables", mode: "v2" });
    onTestFinished(() => cluster.down());
    await cluster.apply(...sleeper("one", "node-1"), ...sleeper("two", "node-1"));
    await cluster.kubectl("wait", "pods", "--all", "--for=condition=Ready", "--timeout=60s");
    const node = cluster.node(1);
    const [one, two] = [await Place.ofPod(cluster, node, "one"), await Place.ofPod(cluster, node, "two")];
    onTestFinished(() => {
      for (const place of [one, two]) place.end();
    });
    await two.serve();
    const pool = new Pool(cluster);
    onTestFinished(() => pool.end());
    await pool.up();
    for (const address of two.services) {
      const before = await redirectedOn(node);
      const { faults, least } = await one.exchange(address, 80);
      expect(faults).toEqual([]);
      expect(least).toBeGreaterThan(0);
      expect((await redirectedOn(node)) - before).toBeGreaterThan(least);
    }
    await pool.destroy();
    expect(await tracesOn(node)).toEqual([]);
  },
);
