// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { attachments, temporaryFolder } from "../support/host.js";
import { amount, call, send } from "../support/machine.js";
import { Datapath, expectCounters, expectEmpty, isSkipped, leaving, patient, switching } from "./datapath.js";

describe.skipIf(isSkipped)("a generation's life under its connections", () => {
  test.each([
    ["default", []],
    ["switching", switching],
    ["leaving", leaving],
  ])("every object loads: %s thresholds", async (_, thresholds) => {
    const path = await Datapath.make(thresholds);
    expect(attachments(path.host.cgroupFolder)).toEqual(["track_sockets"]);
    expect(path.flows()).toEqual([]);
    const { healthy, problems } = await path.host.status();
    expect({ healthy, problems }).toEqual({ healthy: true, problems: [] });
  });

  test("a connection that was open before the attach stays on TCP", async () => {
    const path = await Datapath.make();
    await path.ok("detach");
    const early = path.start("crowd.established_before");
    await early.ready();
    await path.ok("attach");
    early.go();
    await early.ready();
    expect(path.counters()).toMatchObject({ pairs: 0, redirected_messages: 0, tcp_messages: 0 });
    early.go();
    await early.result();
  });

  test("100 idle pairs are drained and go on over TCP", async () => {
    const path = await Datapath.make();
    const pairs = path.start("crowd.idle_pairs", 100);
    await pairs.ready();
    const before = path.sockets();
    await path.drain();
    expect([before, path.sockets(), path.peers()]).toEqual([200, 0, 0]);
    pairs.go();
    await pairs.ready();
    expect(path.counters()).toMatchObject({ redirected_messages: 600, tcp_messages: 0 });
    pairs.go();
    await pairs.result();
  });

  test("every byte arrives when the bypass is removed under 50 idle pairs and unread bytes", async () => {
    const path = await Datapath.make();
    const [pairs, unread] = [path.start("crowd.idle_pairs", 50), path.start("crowd.with_unread")];
    await Promise.all([pairs.ready(), unread.ready()]);
    expect(path.flows().filter((flow) => flow.verdict === "unread")).toHaveLength(2);
    expect(await path.ok("remove", "--drain-seconds", "1")).toContain("left=2 unread=2");
    pairs.go();
    unread.go();
    await Promise.all([pairs.ready(), unread.ready()]);
    pairs.go();
    unread.go();
    await Promise.all([pairs.result(), unread.result()]);
  });

  test("connections that find a map full go on over TCP", async () => {
    const path = await Datapath.make([], "--sockets", "4");
    const many = path.start("crowd.many", 10);
    await many.ready();
    expect(path.sockets()).toBeLessThanOrEqual(4);
    many.go();
    await many.result();
    await expectCounters(path, { refused_full: expect.toSatisfy((count: number) => count >= 8) });
    await expectEmpty(path);
  });

  test("2000 connections that come and go leave nothing in the maps", async () => {
    const path = await Datapath.make(patient);
    await path.play("crowd.storm", amount(2000));
    await expectEmpty(path);
    // A client may have reset its connection before the server's end was established, and then has
    // nobody to pair with.
    const { pairs = 0, remote_skipped = 0 } = path.counters();
    expect(pairs + remote_skipped).toBe(amount(2000));
    expect(pairs).toBeGreaterThan(amount(1900));
  });

  test("services whose connections are too short to gain are skipped after a few", async () => {
    const path = await Datapath.make();
    await path.play("crowd.storm", 1000);
    await expectCounters(path, { short_skipped: expect.toSatisfy((count: number) => count > 800) });
    await expectEmpty(path);
  });

  test.each(["before", "after"])(
    "another sock_ops program of the cgroup, attached %s ours, runs for the same events",
    async (when) => {
      const path = await Datapath.make();
      const pins = `${path.host.pins}-other`;
      const object = build(other);
      if (when === "before") await path.ok("detach");
      const theirs = [path.host.cgroupFolder, "sock_ops", "pinned", join(pins, "prog")];
      send(dirname(object));
      call("mkdir", pins);
      call("bpftool", "prog", "load", object, join(pins, "prog"), "type", "sockops", "pinmaps", pins);
      call("bpftool", "cgroup", "attach", ...theirs, "multi");
      try {
        if (when === "before") await path.ok("attach");
        await path.play("paths.family", "ipv4");
        await expectCounters(path, { pairs: 1, redirected_messages: 100 });
        const seen = call("bpftool", "-j", "map", "dump", "pinned", join(pins, "seen"));
        expect(JSON.parse(seen)[0].formatted.value).toBe(2);
      } finally {
        call("bpftool", "cgroup", "detach", ...theirs);
        call("rm", "-r", pins);
      }
    },
  );

  test("a socket that takes up kTLS later loses nothing", async (context) => {
    const known = call("cat", "/proc/sys/net/ipv4/tcp_available_ulp");
    if (!known.includes("tls")) return context.skip(`this kernel has no tls ULP, only: ${known.trim()}`);
    const path = await Datapath.make();
    await path.play("crowd.ulp", "tls");
  });
});

const other = `
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, __u32); __type(value, __u64); } seen SEC(".maps");
SEC("sockops") int count(struct bpf_sock_ops *ctx)
{
  __u32 zero = 0;
  __u64 *times = bpf_map_lookup_elem(&seen, &zero);
  if (times && (ctx->op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB || ctx->op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB))
    __sync_fetch_and_add(times, 1);
  return 1;
}
char LICENSE[] SEC("license") = "GPL";
`;

function build(source: string): string {
  const object = join(temporaryFolder(), "other.o");
  const include = `/usr/include/${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux-gnu`;
  const words = ["-target", "bpfel", "-mcpu=v2", "-O2", "-g", "-idirafter", include, "-xc", "-", "-c", "-o", object];
  execFileSync("clang-19", words, { input: source });
  return object;
}
