// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import * as os from "node:os";
import * as path from "node:path";

export const tools = path.join(__dirname, "..", "dist", "host");
export const probe = path.join(tools, `probe-${os.machine()}`);

/** What its benchmark says. */
export interface Answer {
  readonly rps: number;
  readonly mbps: number;
  readonly messages: number;
}

/** Runs a command that ends as the benchmark. */
export function run(words: readonly string[]): Answer {
  const [command = "", ...rest] = words;
  return JSON.parse(execFileSync(command, rest, { encoding: "utf8" })) as Answer;
}

export function bench(mode: string, size: number, pin: string, ms: number): string[] {
  return [probe, "bench", "--mode", mode, "--size", `${size}`, "--pin", pin, "--ms", `${ms}`];
}
