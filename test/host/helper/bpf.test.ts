// SPDX-License-Identifier: Apache-2.0
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readlinkSync, rmSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { build, isUnprivileged, makeFolder, run } from "./probe.js";

const probe = build();
const isSkipped = isUnprivileged || spawnSync("bpftool", ["version"]).status !== 0;

/** Prints a line at the end of each walk over the sockets. */
const walk = `
struct seq_file;
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct bpf_iter_meta { struct seq_file *seq; };
struct sock_common;
struct bpf_iter__tcp { struct bpf_iter_meta *meta; struct sock_common *sk_common; };
#pragma clang attribute pop
SEC("iter/tcp") int walk(struct bpf_iter__tcp *ctx)
{
  static const char line[] = "walked\\n";
  if (!ctx->sk_common)
    bpf_seq_write(ctx->meta->seq, line, sizeof(line) - 1);
  return 0;
}
`;

/** Prints a line for each key but 5, in pieces as bpf/flows.bpf.c does. */
const tell = `
SEC("classifier") int tell(struct __sk_buff *packet)
{
  static const char text[] = "key %llu, ", more[] = "the end";
  char piece[16] = {};
  __u64 key = 0;
  bpf_skb_load_bytes(packet, 0, &key, sizeof(key));
  if (key == 5)
    return 0;
  bpf_snprintf(piece, sizeof(piece), text, &key, sizeof(key));
  bpf_skb_store_bytes(packet, 0, piece, sizeof(piece), 0);
  bpf_skb_store_bytes(packet, 192, more, sizeof(more), 0);
  return 1;
}
`;

function compile(source: string): string {
  const object = join(makeFolder(), "program.o");
  const include = `/usr/include/${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux-gnu`;
  const words = ["-target", "bpfel", "-mcpu=v2", "-O2", "-g", "-idirafter", include, "-xc", "-", "-c", "-o", object];
  const head = "#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n";
  execFileSync("clang-19", words, { input: `${head}${source}char LICENSE[] SEC("license") = "GPL";` });
  return object;
}

describe.skipIf(isSkipped)("iterate", () => {
  test("runs a pinned iterator in another network namespace too", async () => {
    const pin = `/sys/fs/bpf/probe-test-${process.pid}`;
    const object = compile(walk);
    const child = spawn("unshare", ["--net", "sh", "-c", "echo; exec sleep 60"]);
    try {
      await once(child.stdout, "data");
      expect(readlinkSync(`/proc/${child.pid}/ns/net`)).not.toBe(readlinkSync("/proc/self/ns/net"));
      execFileSync("bpftool", ["prog", "load", object, pin]);
      const { code, stdout, stderr } = await run(probe, "iterate", pin);
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      expect(stdout).toMatch(/^(walked\n){2,}$/);
    } finally {
      child.kill("SIGKILL");
      rmSync(pin, { force: true });
    }
  });

  test("says which pin is not there", async () => {
    expect(await run(probe, "iterate", "/sys/fs/bpf/nothing-there")).toEqual({
      ...{ code: 1, stdout: "" },
      stderr: "probe: iterate: /sys/fs/bpf/nothing-there: ENOENT\n",
    });
  });
});

describe.skipIf(isSkipped)("list", () => {
  test("prints what a program says about each key of a map", async () => {
    const pins = `/sys/fs/bpf/probe-test-${process.pid}`;
    const map = join(pins, "map");
    mkdirSync(pins);
    try {
      execFileSync("bpftool", ["prog", "load", compile(tell), join(pins, "tell")]);
      const sizes = ["key", "8", "value", "4", "entries", "4096", "name", "keys"];
      execFileSync("bpftool", ["map", "create", map, "type", "hash", ...sizes]);
      const keys = Array.from({ length: 2000 }, (_, i) => i + 1);
      const update = (key: number) =>
        `map update pinned ${map} key ${key % 256} ${key >> 8} 0 0 0 0 0 0 value 0 0 0 0\n`;
      execFileSync("bpftool", ["batch", "file", "-"], { input: keys.map(update).join("") });
      const { code, stdout, stderr } = await run(probe, "list", join(pins, "tell"), map);
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      const expected = keys.filter((key) => key !== 5).map((key) => `key ${key}, the end`);
      expect(stdout.trim().split("\n").sort()).toEqual(expected.sort());
    } finally {
      rmSync(pins, { recursive: true });
    }
  });

  test("says which pin is not there", async () => {
    expect(await run(probe, "list", "/sys/fs/bpf/nothing-there", "/sys/fs/bpf/nothing-either")).toEqual({
      ...{ code: 1, stdout: "" },
      stderr: "probe: list: /sys/fs/bpf/nothing-there: ENOENT\n",
    });
  });
});
