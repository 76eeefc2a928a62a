// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll } from "vitest";

export interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

const script = resolve(__dirname, "../../../host/build/helper.sh");
const machine = process.arch === "arm64" ? "aarch64" : "x86_64";

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** Makes a folder that is removed after the file's tests. */
export function makeFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "probe-test-"));
  folders.push(folder);
  return folder;
}

/** Builds both binaries with these extra compiler flags. */
export function buildAll(folder: string, ...flags: string[]): Record<"x86_64" | "aarch64", string> {
  execFileSync("sh", [script, folder, ...flags], { stdio: ["ignore", "ignore", "pipe"] });
  return { x86_64: join(folder, "probe-x86_64"), aarch64: join(folder, "probe-aarch64") };
}

/** Builds the binary for this machine. */
export function build(...flags: string[]): string {
  return buildAll(makeFolder(), ...flags)[machine];
}

export function start(file: string, ...args: string[]): { child: ChildProcess; ended: Promise<Ended> } {
  const child = spawn(file, args, { stdio: ["ignore", "pipe", "pipe"] });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (text) => {
    stdout += text;
  });
  child.stderr.on("data", (text) => {
    stderr += text;
  });
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, stdout, stderr }));
  });
  return { child, ended };
}

export function run(file: string, ...args: string[]): Promise<Ended> {
  return start(file, ...args).ended;
}

export async function waitUntil(what: string, isTrue: () => boolean): Promise<void> {
  for (const end = Date.now() + 60_000; !isTrue(); await new Promise((resolve) => setTimeout(resolve, 10))) {
    if (Date.now() > end) throw new Error(`expected ${what} within a minute`);
  }
}

export function childrenOf(pid: number | undefined): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean).map(Number);
}

/** Without root, tests of privileged verbs are skipped, but in CI they fail. */
export const isUnprivileged = process.getuid?.() !== 0 && !process.env.CI;
