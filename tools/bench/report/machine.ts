// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";

/** What a figure depends on. */
export interface Machine {
  readonly date: string;
  readonly kernel: string;
  readonly cpu: string;
  readonly cpus: number;
  readonly memoryGiB: number;
  readonly isVirtual: boolean;
  readonly versions: Record<string, string>;
}

export function describeMachine(): Machine {
  const [cpu] = os.cpus();
  return {
    date: new Date().toISOString().slice(0, 10),
    kernel: os.release(),
    cpu: cpu?.model ?? "unknown",
    cpus: os.cpus().length,
    memoryGiB: Math.round(os.totalmem() / 2 ** 30),
    isVirtual: /^flags.*\bhypervisor\b/m.test(fs.readFileSync("/proc/cpuinfo", "utf8")),
    versions: {
      redis: version("redis-server", "--version"),
      nginx: version("nginx", "-v"),
      pgbench: version("pgbench", "--version"),
    },
  };
}

/** The first number with a dot that a program prints, on either output. */
export function version(command: string, flag: string): string {
  const said = execFileSync("sh", ["-c", `${command} ${flag} 2>&1 || true`], { encoding: "utf8" });
  return /\d+(\.\d+)+/.exec(said)?.[0] ?? "not found";
}
