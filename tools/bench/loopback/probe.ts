// SPDX-License-Identifier: Apache-2.0
import { execFile } from "node:child_process";
import * as os from "node:os";
import * as path from "node:path";
import { promisify } from "node:util";

export const tools = path.join(__dirname, "../../..", "dist", "host");
export const probe = path.join(tools, `probe-${os.machine()}`);

/** What the probe's benchmark prints. */
export interface Answer {
  readonly rps: number;
  readonly mbps: number;
  readonly messages: number;
}

/** Runs a command that ends by running the benchmark. */
export async function run(words: readonly string[]): Promise<Answer> {
  const [command = "", ...rest] = words;
  return JSON.parse((await promisify(execFile)(command, rest)).stdout) as Answer;
}

export function bench(mode: string, size: number, pin: string, ms: number): string[] {
  return [probe, "bench", "--mode", mode, "--size", `${size}`, "--pin", pin, "--ms", `${ms}`];
}
