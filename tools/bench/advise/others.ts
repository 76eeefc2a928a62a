// SPDX-License-Identifier: Apache-2.0
// How much of the machine other processes take while something is measured.
import * as fs from "node:fs";
import * as path from "node:path";
import { groupFor } from "../loopback/ways";

/** In seconds of processor time. */
interface Times {
  readonly all: number;
  readonly busy: number;
  readonly ours: number;
}

/** Gives their share of the time of all processors since `before`. */
export function shareOfOthers(before: Times): number {
  const now = takeTimes();
  const ours = now.ours - before.ours;
  return Number(Math.max(0, (now.busy - before.busy - ours) / (now.all - before.all)).toFixed(3));
}

/** Ours are those in the cgroups of the two ways. */
export function takeTimes(): Times {
  const [line = ""] = fs.readFileSync("/proc/stat", "utf8").split("\n");
  // user nice system idle iowait irq softirq steal, in hundredths of a second
  const times = line
    .split(/\s+/)
    .slice(1, 9)
    .map((one) => Number(one) / 100);
  const all = times.reduce((sum, one) => sum + one, 0);
  const idle = (times[3] ?? 0) + (times[4] ?? 0);
  const ours = (["tcp", "bypass"] as const).reduce((sum, way) => sum + usageOf(groupFor(way)), 0);
  return { all, busy: all - idle, ours };
}

function usageOf(group: string): number {
  const text = fs.readFileSync(path.join(group, "cpu.stat"), "utf8");
  return Number(/^usage_usec (\d+)$/m.exec(text)?.[1]) / 1e6;
}
