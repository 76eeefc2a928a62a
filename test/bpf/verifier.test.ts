// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { bundle } from "../support/host.js";
import { isSkipped } from "./datapath.js";

/**
 * The kernel gives up at a million instructions, and another kernel or compiler may need several
 * times as many as this one.
 */
const MOST = 100_000;

// Not proven here: other kernels, and the splice guard, which needs fentry.
describe.skipIf(isSkipped)("the verifier of this kernel", () => {
  test.each([
    ["track", "sockops"],
    ["redirect", "sk_msg"],
    ["flows", "classifier"],
    ["adopt", "iter"],
  ])("walks fewer instructions of %s than a tenth of its limit", (name, type) => {
    const pin = `/sys/fs/bpf/test-${process.pid}-${name}`;
    const object = join(bundle(), `${name}.bpf.o`);
    // libbpf recognizes an iterator by its section only.
    const words = ["-d", "prog", "load", object, pin, ...(type === "iter" ? [] : ["type", type])];
    const { status, stdout, stderr } = spawnSync("bpftool", words, { encoding: "utf8", maxBuffer: 1 << 28 });
    rmSync(pin, { force: true });
    expect({ name, status }).toEqual({ name, status: 0 });
    // These also count the programs with which libbpf probes the kernel's features.
    const counts = [...`${stdout}${stderr}`.matchAll(/^processed (\d+) insns/gm)].map(([, count]) => Number(count));
    expect(Math.max(...counts)).toBeGreaterThan(100);
    expect(Math.max(...counts)).toBeLessThan(MOST);
  });
});
