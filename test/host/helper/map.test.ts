// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { build, isUnprivileged, makeFolder } from "./probe.js";

const probe = build();

/** Runs a script in a mount namespace with a bpffs at $0/bpf; $probe is the probe. */
function inside(script: string): string[] {
  const folder = makeFolder();
  mkdirSync(join(folder, "bpf"));
  const words = ["-m", "sh", "-c", `mount -t bpf bpf "$0/bpf" && cd "$0/bpf" || exit\n${script}`, folder];
  const answer = spawnSync("unshare", words, { encoding: "utf8", env: { ...process.env, probe } });
  return `${answer.stdout}${answer.stderr}`.trim().split("\n");
}

describe.skipIf(isUnprivileged)("map", () => {
  test("prints how many entries there are, the keys, and the values as numbers and as bytes", () => {
    const found = inside(`
bpftool map create pairs type hash key 8 value 16 entries 8 name pairs
"$probe" map count pairs; "$probe" map keys pairs; "$probe" map numbers pairs; echo -
bpftool map update pinned pairs key hex 01 00 00 00 00 00 00 ff value hex ff ff ff ff ff ff ff ff 02 01 00 00 00 00 00 00
"$probe" map count pairs; "$probe" map keys pairs; "$probe" map numbers pairs
bpftool map create one type array key 4 value 3 entries 2 name one
bpftool map update pinned one key hex 01 00 00 00 value hex 0a b0 ff
"$probe" map bytes one 1; "$probe" map bytes one 0; "$probe" map numbers one 1`);
    expect(found).toEqual([
      ...["0", "-", "1", "01000000000000ff", "01000000000000ff 18446744073709551615 258"],
      ...["0a b0 ff", "00 00 00", "01000000"],
    ]);
  });

  test("adds up the values of all CPUs", () => {
    const found = inside(`
bpftool map create counts type percpu_array key 4 value 8 entries 2 name counts
bpftool map update pinned counts key hex 01 00 00 00 value hex 03 00 00 00 00 00 00 00
"$probe" map numbers counts; "$probe" map numbers counts 1; getconf _NPROCESSORS_CONF`);
    const sum = 3 * Number(found.pop());
    expect(found).toEqual(["00000000 0", `01000000 ${sum}`, `01000000 ${sum}`]);
  });

  // The kernel writes a value for each CPU, so a buffer for one would be overrun.
  test("reads no per-CPU map if it cannot find out how many CPUs there may be", () => {
    const found = inside(`
bpftool map create counts type percpu_array key 4 value 8 entries 1 name counts
: >"$0/empty" && mount --bind "$0/empty" /sys/devices/system/cpu/possible || exit
"$probe" map numbers counts 2>&1; echo $?
"$probe" map bytes counts 0 2>&1; echo $?`);
    const error = "probe: map: counts: the number of possible CPUs is unknown";
    expect(found).toEqual([error, "1", error, "1"]);
  });

  test("says why it reads nothing", () => {
    const found = inside(`
bpftool map create one type array key 4 value 8 entries 1 name one
bpftool map create long type hash key 16 value 8 entries 1 name long
for words in "count none" "numbers one 1" "bytes long 0" "keys ."; do "$probe" map $words 2>&1; echo $?; done`);
    expect(found).toEqual([
      ...["probe: map: none: ENOENT", "1", "probe: map: one: ENOENT", "1"],
      ...["probe: map: long: its keys are no numbers", "1", "probe: map: .: EACCES", "1"],
    ]);
  });
});
