// SPDX-License-Identifier: Apache-2.0
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { run, temporaryFolder } from "./ensure.js";

async function say(load: string, cores: number, availableMiB: number) {
  const folder = temporaryFolder();
  writeFileSync(join(folder, "loadavg"), `${load} 3/412 9876\n`);
  const lines = Array.from({ length: cores }, (_, core) => `cpu${core} 1 2 3 4\n`);
  writeFileSync(join(folder, "stat"), `cpu  1 2 3 4\n${lines.join("")}intr 1\n`);
  const available = availableMiB * 1024;
  writeFileSync(join(folder, "meminfo"), `MemTotal:  8388608 kB\nMemFree:  1024 kB\nMemAvailable:  ${available} kB\n`);
  return (await run("sh", ["tools/setup/load.sh", folder])).stdout.trimEnd().split("\n");
}

test("the load of a quiet machine is printed without a warning", async () => {
  expect(await say("0.50 1.25 2.00", 2, 6144)).toEqual([
    "machine: load average 0.50, 1.25, 2.00 (1, 5 and 15 minutes) on 2 cores; 6.0 of 8.0 GiB of memory available",
  ]);
});

test.each([
  ["2.10 0.10 0.10", 2, 6144, "more runs than it has cores for"],
  ["0.10 0.10 0.10", 2, 1024, "little memory is left"],
  ["9.00 8.00 7.00", 8, 512, "more runs than it has cores for, and little memory is left"],
] as const)("a machine with load %s, %d cores and %d MiB is called busy", async (load, cores, available, reason) => {
  const [, warning] = await say(load, cores, available);
  expect(warning).toBe(
    `machine: BUSY: ${reason}; the tests take longer, and a rare failure is likelier. It will be called flaky.`,
  );
});

test("the load of this machine can be read", async () => {
  const { code, stdout } = await run("sh", ["tools/setup/load.sh"]);
  expect(code).toBe(0);
  expect(stdout).toMatch(/^machine: load average \d+\.\d\d, .* on [1-9]\d* cores; [\d.]+ of [\d.]+ GiB/);
});
