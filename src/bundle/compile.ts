// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { packageRoot } from "./package-root";

// What failed, by the monitor of the run: every host would try it again, and that takes seconds.
const failed = new WeakMap<object, unknown>();

/**
 * Compiles the objects on the machine that runs Pulumi. It needs clang and llvm-strip 14 or newer,
 * and its error shows what they printed.
 */
export function compileObjects(): Map<string, Buffer> {
  const run = pulumi.runtime.getMonitor();
  if (run === undefined) return compile();
  if (failed.has(run)) throw failed.get(run);
  try {
    return compile();
  } catch (error) {
    failed.set(run, error);
    throw error;
  }
}

function compile(): Map<string, Buffer> {
  const out = fs.mkdtempSync(path.join(os.tmpdir(), "socket-bypass-compile-"));
  try {
    execFileSync("sh", [path.join(packageRoot(), "bpf", "build.sh"), out], { stdio: ["ignore", "pipe", "pipe"] });
    const objects = fs.readdirSync(out).filter((file) => file.endsWith(".bpf.o"));
    return new Map(objects.map((file) => [file, fs.readFileSync(path.join(out, file))]));
  } catch (error) {
    // Where there is no sh, as on Windows, nothing was printed.
    const printed = error instanceof Error && "stderr" in error && error.stderr ? `${error.stderr}`.trim() : "";
    const said = printed || `${error}`;
    throw new pulumi.RunError(
      `socket-bypass: bpf.compile: expected clang and llvm-strip that compile bpf/ on this machine, found:\n${said}\n` +
        `install clang and llvm, or use "prebuilt"`,
    );
  } finally {
    fs.rmSync(out, { recursive: true, force: true });
  }
}
