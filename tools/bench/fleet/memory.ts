// SPDX-License-Identifier: Apache-2.0
import * as fs from "node:fs";

/**
 * Measures the memory of the process that runs a program, of its engines and of their plugins, in
 * MiB. `peaks` has the peak of each by its name; their sum is an upper bound, because the peaks may
 * have come at different times. `most` is the largest sum that was seen at one time.
 */
export function watchMemory(program: number) {
  const peaks = new Map<number, { readonly name: string; readonly size: number }>();
  let most = 0;
  const look = () => {
    let sum = 0;
    for (const pid of [program, ...enginesOf(program)]) {
      try {
        const status = fs.readFileSync(`/proc/${pid}/status`, "utf8");
        const kib = (field: string) => Number(new RegExp(`^${field}:\\s+(\\d+)`, "m").exec(status)?.[1] ?? 0);
        const name = pid === program ? "program" : (/^Name:\s+(\S+)/m.exec(status)?.[1] ?? "?");
        if (kib("VmHWM") > 0) peaks.set(pid, { name, size: kib("VmHWM") / 1024 });
        sum += kib("VmRSS") / 1024;
      } catch {
        // The process has ended since.
      }
    }
    most = Math.max(most, sum);
  };
  const timer = setInterval(look, 1000);
  return {
    stop: () => {
      look();
      clearInterval(timer);
      const sums: Record<string, number> = {};
      for (const { name, size } of peaks.values()) sums[name] = (sums[name] ?? 0) + size;
      return { peaks: sums, most };
    },
  };
}

/** The processes of Pulumi that a process, or one of those, has started. */
function enginesOf(program: number): number[] {
  const parents = new Map<number, number>();
  for (const pid of fs.readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      const stat = fs.readFileSync(`/proc/${pid}/stat`, "utf8");
      const [, name = "", parent = ""] = /\((.*)\) \S (\d+)/.exec(stat) ?? [];
      if (name.startsWith("pulumi")) parents.set(Number(pid), Number(parent));
    } catch {
      // The process has ended since.
    }
  }
  const isOurs = (pid: number): boolean => {
    const parent = parents.get(pid);
    return parent !== undefined && (parent === program || isOurs(parent));
  };
  return [...parents.keys()].filter(isOurs);
}
