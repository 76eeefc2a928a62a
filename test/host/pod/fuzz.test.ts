// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";

const seed = Number(process.env.SOCKET_BYPASS_FUZZ_SEED ?? 1);
const connections = 50_000;

// Not proven here: the server's confinement (pod.test.ts), which is off because sanitizers need
// more system calls.
test(`a pod's server answers whatever strangers send by HTTP or not at all, and goes on (seed ${seed})`, () => {
  const folder = mkdtempSync(join(tmpdir(), "socket-bypass-fuzz-"));
  try {
    const program = join(folder, "fuzz");
    const flags = ["-O1", "-g", "-Wall", "-Wextra", "-pthread", "-fno-sanitize-recover=all"];
    const sanitizers = "-fsanitize=address,undefined";
    const base = join(__dirname, "../../../host/helper/base");
    const sources = [join(__dirname, "fuzz.c"), join(base, "text.c")];
    const words = [...flags, sanitizers, "-I", base, "-o", program, ...sources];
    const built = spawnSync("clang-19", words, { encoding: "utf8" });
    expect(built).toMatchObject({ status: 0, stderr: "" });
    const { status, stdout, stderr } = spawnSync(program, [`${seed}`, `${connections}`], { encoding: "utf8" });
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(Number(stdout)).toBeGreaterThan(connections / 10);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
