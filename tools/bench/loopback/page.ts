// SPDX-License-Identifier: Apache-2.0
// Writes results.json in docs/explanation/benchmarks, and the drawings and tables made from it. Run
// alone, `npx tsx tools/bench/loopback/page.ts` draws the same results again.
import type { Result } from "../report/cell";
import { cellText, lossesText, machineText, plainText, type Run, read, write, writeSection } from "../report/figures";
import { drawSizes, drawWorkloads } from "../report/plot";
import { ways } from "./ways";

export interface Report {
  readonly machine: Run;
  readonly results: Record<string, Result>;
}

/** A report of some cells replaces only those cells of the existing one. */
export function writePage(measured: Report, isWhole: boolean): void {
  const report = isWhole ? measured : { ...measured, results: { ...readReport().results, ...measured.results } };
  write("results.json", `${JSON.stringify(report, undefined, 1)}\n`);
  draw(report);
}

function draw(report: Report): void {
  write("sizes.svg", drawSizes(report.results));
  write("workloads.svg", drawWorkloads(report.results));
  writeSection("README.md", "figures", figures(report));
}

function readReport(): Report {
  return JSON.parse(read("results.json")) as Report;
}

function figures({ machine, results }: Report): string {
  return `
${machineText(machine)}

![Ratio to plain TCP by message size](sizes.svg)

![Ratio to plain TCP of other traffic and programs](workloads.svg)

### Where the bypass loses

${lossesText(results)}

### All cells

The figures are ratios to plain TCP: the median of the rounds, followed by the smallest and the largest round.
Less is better where the unit is marked with ↓.

| cell | plain TCP | ${headings.join(" | ")} |
|---|---|${headings.map(() => "---|").join("")}
${Object.entries(results).map(row).join("\n")}

`;
}

const columns = ways.filter((way) => way !== "tcp");
const headings = columns.map(
  (way) => ({ tcp: "", tcpAgain: "TCP again", article: "article", bypass: "bypass", unix: "Unix" })[way],
);

function row([name, result]: [string, Result]): string {
  return `| ${name} | ${plainText(result)} | ${columns.map((way) => cellText(result, way)).join(" | ")} |`;
}

if (require.main === module) {
  draw(readReport());
}
