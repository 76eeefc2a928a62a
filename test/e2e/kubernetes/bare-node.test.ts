// SPDX-License-Identifier: Apache-2.0
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { Cluster, lacking, type Node } from "./cluster/cluster.js";
import { Pool, redirectedOn, tracesOn } from "./pool.js";
import { Place, sleeper } from "./traffic.js";

/*
 * A node without bpffs and with /var/lib mounted noexec; kube-proxy and cgroups have other modes
 * than in node-pool.test.ts. Each test continues where the previous one ended.
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
    (await node.run("cat", "/proc/mounts"))
      .split("\n")
      // The kubelet's own mounts of the folder that it gives to the pod end with the pod.
      .filter((line) => line.split(" ")[2] === "bpf" && !line.includes("/volume-subpaths/"));

  beforeAll(async () => {
    cluster = await Cluster.make({ nodes: 1, proxy: "iptables", mode: "v2" });
    node = cluster.node(1);
    await node.run("umount", "/sys/fs/bpf");
    // As on a hardened node; the kubelet's folder is below.
    await node.run("mount", "-o", "remount,bind,noexec", "/var/lib");
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

  test("up fails and says that the folder in bpffs cannot be created", async () => {
    pool.options = () => ({ customTimeouts: { create: "20s" } });
    const said = await pool.failure(pool.up());
    // docs/how-to/troubleshoot-pool.md quotes these words and says what to do.
    expect(said).toContain('failed to create subPath directory for volumeMount "bpffs" of container "loader"');
    expect(await mounts()).toEqual([]);
  });

  test("with mountBpffs, up continues, the node gets a bpffs for root only, and its pod is ready", async () => {
    pool.options = () => ({});
    pool.pool = { mountBpffs: true };
    expect((await pool.up()).changes).toEqual({ DaemonSet: "update" });
    expect((await pool.pods()).map(({ isReady, restarts }) => [isReady, restarts])).toEqual([[true, 0]]);
    const [mount = "", ...others] = await mounts();
    expect(others).toEqual([]);
    expect(mount).toMatch(/^\S+ \/sys\/fs\/bpf bpf rw,nosuid,nodev,noexec,.*mode=700 0 0$/);
  });

  test("no program can run from the kubelet's folder, and yet this pod runs", async () => {
    const run = "cp /bin/true /var/lib/kubelet/try; /var/lib/kubelet/try; echo $?; rm /var/lib/kubelet/try";
    expect(await node.run("sh", "-c", run)).toBe("126\n");
    expect((await pool.pods()).map(({ isReady, restarts }) => [isReady, restarts])).toEqual([[true, 0]]);
  });

  test("the pod can write to no cgroup, and sees nothing that others have pinned", async () => {
    const { namespace } = await pool.outputs();
    const [{ name } = { name: "" }] = await pool.pods();
    const inPod = (line: string) => cluster.kubectl("exec", "-n", namespace, name, "--", "sh", "-c", line);
    const [other, pin] = ["/sys/fs/cgroup/other", "/sys/fs/bpf/foreign"];
    const map = `bpftool map create ${pin} type hash key 4 value 4 entries 1 name foreign`;
    try {
      // Makes something that the pod could write to, and something that it could unlink.
      await node.run("sh", "-c", `mkdir ${other} && echo 1 >${other}/cgroup.kill && ${map} && test -e ${pin}`);
      const tries = [`echo 1 >${other}/cgroup.kill`, `echo $$ >${other}/cgroup.procs`, `mkdir ${other}/below`];
      for (const line of tries) expect(await inPod(`{ ${line}; } 2>&1 || :`)).toMatch(/Read-only file system$/m);
      expect(await inPod("find /bpffs -mindepth 1 -maxdepth 1; ls -ld /bpffs/socket-bypass")).toMatch(
        /^\/bpffs\/socket-bypass\ndrwx------ /,
      );
      const mounts = await inPod("awk '$3 ~ /^(bpf|cgroup2?)$/ { print $2, substr($4, 1, 2) }' /proc/mounts");
      expect(mounts.trim().split("\n").sort()).toEqual(
        expect.arrayContaining(["/bpffs/socket-bypass rw", "/sys/fs/cgroup ro"]),
      );
      expect(mounts).not.toMatch(/cgroup\S* rw$/m);
    } finally {
      await node.run("sh", "-c", `rm -f ${pin}; rmdir ${other}`);
    }
  });

  test("traffic from a pod to the ClusterIP of a pod on its node is bypassed and byte-exact", async () => {
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
