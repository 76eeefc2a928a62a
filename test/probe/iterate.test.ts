// SPDX-License-Identifier: Apache-2.0
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readlinkSync, rmSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { build, isUnprivileged, makeFolder, run } from "./probe.js";

const probe = build();
const isSkipped = isUnprivileged || spawnSync("bpftool", ["version"]).status !== 0;

/** A line at the end of each walk. */
const source = `
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
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
char LICENSE[] SEC("license") = "GPL";
`;

describe.skipIf(isSkipped)("iterate", () => {
  test("runs a pinned iterator in another network namespace too", async () => {
    const pin = `/sys/fs/bpf/probe-test-${process.pid}`;
    const object = join(makeFolder(), "walk.o");
    const include = `/usr/include/${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux-gnu`;
    const words = ["-target", "bpfel", "-mcpu=v2", "-O2", "-g", "-idirafter", include, "-xc", "-", "-c", "-o", object];
    execFileSync("clang-19", words, { input: source });
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
