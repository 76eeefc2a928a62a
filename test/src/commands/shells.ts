// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from "node:child_process";

/** The two shells that hosts have; a test fails if one of them is missing here. */
export const shells = [
  ["dash", ["dash"]],
  ["busybox sh", ["busybox", "sh"]],
] as const;

export interface Answer {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export function runLine(shell: readonly string[], line: string, env: NodeJS.ProcessEnv = process.env): Answer {
  const [program = "", ...before] = shell;
  const ended = spawnSync(program, [...before, "-c", line], { env, maxBuffer: 1 << 26 });
  if (ended.error) throw ended.error;
  return { code: ended.status, stdout: ended.stdout.toString(), stderr: ended.stderr.toString() };
}
