// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";

const machine = process.arch === "arm64" ? "aarch64" : "x86_64";
const pod = resolve(__dirname, `../../../dist/host/pod-${machine}`);
const isSkipped = process.getuid?.() !== 0 && !process.env.CI;

// The kernel writes a value for each CPU, so a buffer for one would be overrun.
test.skipIf(isSkipped)(
  "the stand-in for bpftool prints no per-CPU map if it cannot find out how many CPUs there may be",
  () => {
    const folder = mkdtempSync(join(tmpdir(), "socket-bypass-front-"));
    symlinkSync(pod, join(folder, "bpftool"));
    const script = `mkdir "$0/bpf" && mount -t bpf bpf "$0/bpf" && touch "$0/empty" || exit 9
bpftool map create "$0/bpf/counts" type percpu_array key 4 value 8 entries 1 name counts || exit 9
"$0/bpftool" -j map dump pinned "$0/bpf/counts"
mount --bind "$0/empty" /sys/devices/system/cpu/possible || exit 9
"$0/bpftool" -j map dump pinned "$0/bpf/counts"; echo $?
"$0/bpftool" -j map lookup pinned "$0/bpf/counts" key hex 00 00 00 00; echo $?`;
    try {
      const { stdout } = spawnSync("unshare", ["-m", "sh", "-c", script, folder], { encoding: "utf8" });
      const [whole = "", ...refused] = stdout.trim().split("\n");
      expect(JSON.parse(whole)[0].values.length).toBeGreaterThan(0);
      const error = `{"error":"${folder}/bpf/counts: No data available"}`;
      expect(refused).toEqual([error, "255", error, "255"]);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
);
