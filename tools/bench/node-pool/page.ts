// SPDX-License-Identifier: Apache-2.0
import type { Result } from "../report/cell";
import { cellText, lossesText, machineText, plainText, type Run, write, writeSection } from "../report/figures";
import type { Rest } from "./rest";

export interface PoolReport {
  readonly machine: Run;
  /** In seconds. */
  readonly up: number;
  readonly rest: Rest;
  readonly cells: Record<string, Result>;
}

export function writePool(report: PoolReport): void {
  write("pool.json", `${JSON.stringify(report, undefined, 1)}\n`);
  writeSection("node-pools.md", "pool", section(report));
}

function section({ machine, up, rest, cells }: PoolReport): string {
  const rows = Object.entries(cells).map(
    ([name, result]) =>
      `| ${name} | ${plainText(result)} | ${cellText(result, "bypass")} | ${cellText(result, "tcpAgain")} | ${wanted(name) ?? "-"} |`,
  );
  const missed = Object.keys(cells).filter((name) => (cells[name]?.ratios.bypass ?? 0) < (wanted(name) ?? 0));
  return `
${machineText(machine)}

| loader | found | wanted |
|---|---|---|
| \`up\` until both nodes are served | ${up} s | under 15 s |
| memory of its process at rest | ${rest.rssMiB} MiB | under 16 MiB |
| memory of its pod at rest, with the kernel's for its maps | ${rest.podMiB} MiB | under 16 MiB |
| CPU time of its pod at rest | ${(rest.cpuShare * 100).toPrecision(2)} % of one CPU | near 0 |

| cell | plain TCP | bypass | TCP again | wanted |
|---|---|---|---|---|
${rows.join("\n")}

Less than wanted: ${missed.join("; ") || "none"}.

${lossesText(cells)}

`;
}

/** The smallest ratio to plain TCP that is good enough. */
function wanted(name: string): number | undefined {
  if (name.includes("across nodes")) return 0.99;
  return name.includes("ClusterIP") ? 1.6 : undefined;
}
