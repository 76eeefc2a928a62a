// SPDX-License-Identifier: Apache-2.0
/*
 * Other programs on the same cgroup and sockets. Not proven here: a program attached after ours
 * that asks for RTT_CB; it loses RTT_CB when the socket leaves, because we cannot know that it
 * asked.
 */
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { temporaryFolder } from "../support/host.js";
import { Datapath, expectCounters, expectEmpty, isSkipped, patient, switching } from "./datapath.js";

const over = (least: number) => expect.toSatisfy((count: number) => count > least, `more than ${least}`);

const undo: (() => void)[] = [];
afterEach(() => {
  for (const act of undo.splice(0).reverse()) act();
});

describe.skipIf(isSkipped)("another program beside ours", () => {
  test.each(["before", "after"] as const)(
    "a program attached %s ours has its replies obeyed, and gets its state callbacks even after a drain",
    async (when) => {
      const path = await Datapath.make(patient);
      const events = attach(path, when, replying);
      const case_ = path.start("beside.replies");
      await case_.ready();
      await path.drain();
      case_.go();
      await case_.ready();
      expect(path.sockets()).toBe(0);
      const before = events();
      case_.go();
      // Four segments of 500 bytes, less the timestamps option.
      expect(await case_.result()).toEqual({
        window: expect.toSatisfy((window: number) => window > 1500 && window < 2100),
      });
      await expectCounters(path, { pairs: 1, redirected_messages: 100 });
      const after = events();
      expect(after.closed - before.closed).toBe(2);
      if (when === "before") expect(after.rtt - before.rtt).toBeGreaterThan(10);
    },
  );

  test("a program that clears our callback flags keeps neither a drain nor a close from removing both ends", async () => {
    const path = await Datapath.make(patient);
    attach(path, "after", thief);
    const pair = path.start("beside.used_and_idle");
    await pair.ready();
    await path.drain();
    expect(path.sockets()).toBe(0);
    pair.go();
    await pair.ready();
    pair.go();
    await pair.result();
    // Some are not counted: the last ones are counted when STATE_CB reports the end.
    expect(path.counters()).toMatchObject({ pairs: 1, redirected_messages: over(50) });
    await expectEmpty(path);
  });

  test("STATE_CB is set again, and counted, when another program clears it now and then", async () => {
    const path = await Datapath.make([...switching, ...patient]);
    attach(path, "after", nibbler);
    await path.play("beside.spilling");
    await expectCounters(path, { pairs: 1, rearmed: over(0) });
    // If we were not told of the end of a socket, the next step removes what the splice guard knows
    // of it.
    await path.ok("attach");
    await expectEmpty(path);
  });

  test.each([
    [
      "with an sk_msg program keeps them on TCP, and that is counted",
      true,
      { pairs: 0, refused_busy: 1, redirected_messages: 0 },
    ],
    ["without one shares them with ours", false, { pairs: 1, refused_busy: 0, redirected_messages: 100 }],
  ] as const)("a foreign sockhash that already holds the sockets, %s", async (_, hasVerdict, counters) => {
    const path = await Datapath.make(patient);
    attach(path, "before", owner, hasVerdict);
    await path.play("paths.family", "ipv4");
    await expectCounters(path, counters);
    await expectEmpty(path);
  });

  test("a second generation that is attached too, as for a moment in each upgrade, does no harm by what it keeps for sockets that refused it", async () => {
    const path = await Datapath.make(patient);
    const { host } = path;
    const next = ["--generation", host.nextGeneration];
    const steps = ["object install", "map create", "program load track", "program load redirect", "verdict attach"];
    for (const step of steps) await path.ok(step, ...next);
    await path.ok("policy set", ...next, "--ports", "1-65535");
    const hook = (act: string, ...flags: string[]) =>
      bpftool(
        "cgroup",
        act,
        host.cgroupFolder,
        "sock_ops",
        "pinned",
        join(host.pins, host.nextGeneration, "track"),
        ...flags,
      );
    hook("attach", "multi");
    undo.push(() => hook("detach"));
    // The readers sleep in recv(). Whether they sleep inside the bypass is read from what is kept
    // for their sockets.
    await path.play("paths.family", "ipv4");
    await expectCounters(path, { pairs: 1, refused_busy: 0, redirected_messages: 100 });
  });
});

interface Events {
  readonly closed: number;
  readonly rtt: number;
}

/**
 * Loads a foreign program and attaches it before or after ours. Gives a function that reads its
 * counts.
 */
function attach(path: Datapath, when: "before" | "after", source: string, hasVerdict = false): () => Events {
  const [pins, cgroup] = [`${path.host.pins}-other`, path.host.cgroupFolder];
  const ours = join(path.host.pins, path.host.generation, "track");
  const object = join(temporaryFolder(), "other.o");
  const include = `/usr/include/${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux-gnu`;
  const words = ["-target", "bpfel", "-mcpu=v2", "-O2", "-g", "-idirafter", include, "-xc", "-", "-c", "-o", object];
  execFileSync("clang-19", words, { input: common + source });
  fs.mkdirSync(pins);
  undo.push(() => fs.rmSync(pins, { recursive: true }));
  bpftool("prog", "loadall", object, join(pins, "progs"), "pinmaps", join(pins, "maps"));
  const hook = (act: string, pin: string) =>
    bpftool("cgroup", act, cgroup, "sock_ops", "pinned", pin, ...(act === "attach" ? ["multi"] : []));
  if (hasVerdict)
    bpftool("prog", "attach", "pinned", join(pins, "progs/pass"), "msg_verdict", "pinned", join(pins, "maps/theirs"));
  if (when === "before") hook("detach", ours);
  hook("attach", join(pins, "progs/other"));
  undo.push(() => hook("detach", join(pins, "progs/other")));
  if (when === "before") hook("attach", ours);
  return () => {
    const rows = JSON.parse(bpftool("-j", "map", "dump", "pinned", join(pins, "maps/events")));
    const [closed, rtt] = rows.map(({ formatted }: { formatted: { value: number } }) => formatted.value);
    return { closed, rtt };
  };
}

function bpftool(...words: string[]): string {
  return execFileSync("bpftool", words, { encoding: "utf8" });
}

const common = `
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "GPL";
#define IS_ESTABLISHED (ctx->op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB || ctx->op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB)
`;

const replying = `
extern int CONFIG_HZ __kconfig;
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 2); __type(key, __u32); __type(value, __u64); } events SEC(".maps");
static void count(__u32 event)
{
  __u64 *times = bpf_map_lookup_elem(&events, &event);
  if (times)
    __sync_fetch_and_add(times, 1);
}
SEC("sockops") int other(struct bpf_sock_ops *ctx)
{
  if (ctx->op == BPF_SOCK_OPS_TIMEOUT_INIT)
    ctx->reply = 7 * CONFIG_HZ;
  else if (ctx->op == BPF_SOCK_OPS_RWND_INIT)
    ctx->reply = 4;
  else if (IS_ESTABLISHED)
    bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG | BPF_SOCK_OPS_RTT_CB_FLAG);
  else if (ctx->op == BPF_SOCK_OPS_STATE_CB && ctx->args[1] == 7)
    count(0);
  else if (ctx->op == BPF_SOCK_OPS_RTT_CB)
    count(1);
  return 1;
}
`;

const thief = `
SEC("sockops") int other(struct bpf_sock_ops *ctx)
{
  if (IS_ESTABLISHED)
    bpf_sock_ops_cb_flags_set(ctx, 0);
  return 1;
}
`;

const nibbler = `
SEC("sockops") int other(struct bpf_sock_ops *ctx)
{
  if (ctx->op == BPF_SOCK_OPS_RTT_CB)
    bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags & ~BPF_SOCK_OPS_STATE_CB_FLAG);
  return 1;
}
`;

const owner = `
struct { __uint(type, BPF_MAP_TYPE_SOCKHASH); __uint(max_entries, 64); __type(key, __u64); __type(value, __u64); } theirs SEC(".maps");
SEC("sockops") int other(struct bpf_sock_ops *ctx)
{
  __u64 key = bpf_get_socket_cookie(ctx);
  if (IS_ESTABLISHED)
    bpf_sock_hash_update(ctx, &theirs, &key, BPF_NOEXIST);
  return 1;
}
SEC("sk_msg") int pass(struct sk_msg_md *msg)
{
  return SK_PASS;
}
`;
