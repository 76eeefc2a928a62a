// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { buildAll, makeFolder, run } from "./probe.js";

const folder = makeFolder();
const files = buildAll(folder);
const readelf = (option: string, file: string) => execFileSync("readelf", [option, "-W", file], { encoding: "utf8" });

describe("the built binaries", () => {
  test("together take at most 120 KB of the bundle", () => {
    const sizes = Object.values(files).map((file) => gzipSync(readFileSync(file), { level: 9 }).length);
    expect(sizes.length).toBe(2);
    expect(sizes.reduce((sum, size) => sum + size)).toBeLessThanOrEqual(120 * 1024);
  });

  test.each([
    ["x86_64", "Advanced Micro Devices X86-64", 0x1000],
    // Kernels with pages of 64 KiB refuse a smaller alignment.
    ["aarch64", "AArch64", 0x10000],
  ] as const)("for %s are static ELF files that need no interpreter", (machine, name, page) => {
    const header = readelf("-h", files[machine]);
    expect(header).toContain(`Machine:                           ${name}\n`);
    expect(header).toContain("Type:                              EXEC");
    const segments = readelf("-l", files[machine]);
    expect(segments).not.toMatch(/INTERP|DYNAMIC/);
    const alignments = [...segments.matchAll(/^ +LOAD .* (0x[0-9a-f]+)$/gm)].map((match) => Number(match[1]));
    expect(alignments.length).toBeGreaterThan(1);
    expect(alignments.every((alignment) => alignment >= page)).toBe(true);
    // No segment is both writable and executable.
    expect(segments).not.toMatch(/RWE/);
  });

  test("run on this machine", async () => {
    const file = process.arch === "arm64" ? files.aarch64 : files.x86_64;
    expect(await run(file, "grace")).toMatchObject({ code: 0 });
  });

  test("name no path of the machine that built them", () => {
    for (const file of Object.values(files)) {
      const text = readFileSync(file).toString("latin1");
      expect(text).not.toMatch(/\/(home|root|tmp|Users)\/|\.c\0/);
    }
  });

  test("are byte for byte the same when they are compiled again", () => {
    // Other flags have another entry in the cache, so this really compiles the first time.
    const again = buildAll(makeFolder(), "-DPROBE_COMPILED_AGAIN");
    expect(readFileSync(again.x86_64).equals(readFileSync(files.x86_64))).toBe(true);
    expect(readFileSync(again.aarch64).equals(readFileSync(files.aarch64))).toBe(true);
  });

  test("stay untouched by a build that is up to date", () => {
    const before = statSync(files.x86_64, { bigint: true });
    buildAll(folder);
    const after = statSync(files.x86_64, { bigint: true });
    expect([after.ino, after.mtimeNs]).toEqual([before.ino, before.mtimeNs]);
  });
});
