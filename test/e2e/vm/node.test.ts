// SPDX-License-Identifier: Apache-2.0
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { Cluster } from "../kubernetes/cluster/cluster.js";
import { Pool, redirectedOn, servingOn, tracesOn, until } from "../kubernetes/pool.js";
import { Place, port, sleeper } from "../kubernetes/traffic.js";
import { Member } from "./member.js";
import { isSkipped, type Vm, vms } from "./vm.js";

vi.setConfig({ testTimeout: 900_000, hookTimeout: 1_800_000 });

/*
 * A third node with a kernel, a systemd and an AppArmor of its own: its cgroup2 is mounted with
 * nsdelegate, systemd makes its pods' cgroups, and their limits work. Each case continues from the
 * previous one. These do not prove traffic between this node and another, because there is no route
 * between them.
 */
describe.skipIf(isSkipped)("a virtual machine as a node of a cluster", () => {
  let cluster: Cluster;
  let guest: Member;
  let pool: Pool;
  let one: Place;
  let two: Place;
  /** The first process of the loader's container. */
  const loader = async () => {
    const pid = await guest.run("pgrep", "-of", "^/state/files/probe-[^ ]* serve");
    return pid.split("\n")[0] ?? "";
  };
  const isServed = async () => {
    const pod = (await pool.pods()).find(({ node }) => node === guest.name);
    return pod?.isReady === true && (await servingOn(guest))?.owner.endsWith(`/${pod.uid}`) === true;
  };
  const openPlaces = async () => {
    [one, two] = [await Place.ofPod(cluster, guest, "one"), await Place.ofPod(cluster, guest, "two")];
    await two.serve();
  };
  /**
   * Exchanges bytes, which must arrive intact. Returns the messages that were redirected meanwhile,
   * and the rounds of the slowest connection.
   */
  const exchange = async (address: string, at = port) => {
    const before = await redirectedOn(guest);
    const { faults, least } = await one.exchange(address, at);
    expect(faults).toEqual([]);
    expect(least).toBeGreaterThan(0);
    return { redirected: (await redirectedOn(guest)) - before, least };
  };

  beforeAll(async () => {
    cluster = await Cluster.make();
    guest = new Member(vms[0] as Vm, cluster);
    await guest.join();
    await cluster.apply(...sleeper("one", guest.name), ...sleeper("two", guest.name));
    await cluster.kubectl("wait", "pods", "--all", "--for=condition=Ready", "--timeout=300s");
    await openPlaces();
    pool = new Pool(cluster);
    pool.args = { selfTest: { timeoutSeconds: 300 } };
  });

  afterAll(async () => {
    for (const place of [one, two]) place?.end();
    await pool?.end();
    guest?.end();
    await cluster?.down();
  });

  test("its cgroup2 is mounted with nsdelegate, and its pods have AppArmor's default profile", async () => {
    expect(await guest.run("findmnt", "-n", "-o", "OPTIONS", "/sys/fs/cgroup")).toContain("nsdelegate");
    expect(await guest.run("cat", "/sys/module/apparmor/parameters/enabled")).toBe("Y");
    // The sandbox of a pod runs the same command, is older than its container, and has no profile.
    const sleeping = await guest.run("pgrep", "-n", "-f", "^sleep 2147483647");
    const profile = `/proc/${sleeping}/attr/apparmor/current`;
    expect(await guest.run("cat", profile)).toBe("cri-containerd.apparmor.d (enforce)");
  });

  test("up makes it serve beside two other nodes, after the self-test in a cgroup below the pod's own", async () => {
    await pool.up();
    const pods = await pool.pods();
    expect(pods.map(({ node, isReady, restarts }) => [node, isReady, restarts])).toEqual([
      ["guest", true, 0],
      ["node-1", true, 0],
      ["node-2", true, 0],
    ]);
    expect(await isServed()).toBe(true);
    expect((await servingOn(guest))?.generation).toBe((await pool.outputs()).generation);
    const pid = await loader();
    expect(await guest.run("cat", `/proc/${pid}/attr/apparmor/current`)).toBe("cri-containerd.apparmor.d (enforce)");
    expect(await guest.run("cat", `/proc/${pid}/cgroup`)).toMatch(/^0::\/kubepods\.slice\/.*\.scope$/);
    expect((await pool.preview()).changes).toEqual({});
  });

  test("traffic from a pod to a pod on its node, and to its ClusterIP, is bypassed and byte-exact", async () => {
    for (const [address = "", at] of [[two.addresses[0], port] as const, [two.services[0], 80] as const]) {
      const { redirected, least } = await exchange(address, at);
      expect(redirected).toBeGreaterThan(least);
    }
  });

  test("a new generation takes over under load without losing a byte", async () => {
    const before = await servingOn(guest);
    const talk = await one.talk(two.addresses[0] ?? "");
    pool.args = { ...pool.args, limits: { sockets: 32_768 } };
    await pool.up();
    const { faults, least } = await talk.stop();
    expect(faults).toEqual([]);
    expect(least).toBeGreaterThan(0);
    expect((await servingOn(guest))?.generation).not.toBe(before?.generation);
    expect((await exchange(two.addresses[0] ?? "")).redirected).toBeGreaterThan(0);
  });

  test("a loader that is killed restarts, and the node is served meanwhile", async () => {
    const killed = await loader();
    await guest.run("kill", "-KILL", killed);
    expect((await exchange(two.addresses[0] ?? "")).redirected).toBeGreaterThan(0);
    await until("another loader", async () => (await isServed()) && (await loader()) !== killed);
  });

  test("after a power cut it is served again", async () => {
    await guest.cutPower();
    await until("the pod to serve the node again", isServed);
    for (const place of [one, two]) place.end();
    await until("its other pods to run", () =>
      openPlaces().then(
        () => true,
        () => false,
      ),
    );
    expect((await exchange(two.addresses[0] ?? "")).redirected).toBeGreaterThan(0);
  });

  test("destroy under load loses no byte and leaves nothing on any node", async () => {
    const talk = await one.talk(two.addresses[0] ?? "");
    await pool.destroy();
    expect((await talk.stop()).faults).toEqual([]);
    for (const node of [guest, cluster.node(1), cluster.node(2)]) expect(await tracesOn(node)).toEqual([]);
  });
});
