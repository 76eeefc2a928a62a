// SPDX-License-Identifier: Apache-2.0
// docs/bench: results.json, and what is drawn and written from it. Alone: `npx tsx bench/page.ts` draws again from the same results.
import * as fs from "node:fs";
import * as path from "node:path";
import type { Result } from "./cell";
import type { Machine } from "./machine";
import { drawSizes, drawWorkloads } from "./plot";
import { type Way, ways } from "./ways";

export interface Report {
  readonly machine: Machine;
  readonly results: Record<string, Result>;
}

const folder = path.join(__dirname, "..", "docs", "bench");
const marks = ["<!-- figures -->", "<!-- end of figures -->"] as const;

/** A report of some cells replaces just those of the one that is there. */
export function writePage(measured: Report, isWhole: boolean): void {
  fs.mkdirSync(folder, { recursive: true });
  const report = isWhole ? measured : { ...measured, results: { ...read().results, ...measured.results } };
  write("results.json", `${JSON.stringify(report, undefined, 1)}\n`);
  draw(report);
}

function draw(report: Report): void {
  write("sizes.svg", drawSizes(report.results));
  write("workloads.svg", drawWorkloads(report.results));
  const page = fs.readFileSync(path.join(folder, "README.md"), "utf8");
  const [before] = page.split(marks[0]);
  const after = page.split(marks[1])[1] ?? "";
  write("README.md", `${before}${marks[0]}\n${figures(report)}${marks[1]}${after}`);
}

function read(): Report {
  return JSON.parse(fs.readFileSync(path.join(folder, "results.json"), "utf8")) as Report;
}

function write(name: string, text: string): void {
  fs.writeFileSync(path.join(folder, name), text);
}

function figures({ machine, results }: Report): string {
  const { date, kernel, cpu, cpus, memoryGiB, isVirtual, rounds, ms, versions } = machine;
  const where = `${date}, Linux ${kernel}, ${cpus} CPUs${isVirtual ? " of a virtual machine" : ""} (${cpu}), ${memoryGiB} GiB`;
  const what = Object.entries(versions)
    .map(([name, version]) => `${name} ${version}`)
    .join(", ");
  const losses = Object.entries(results).filter(([, result]) => isLoss(result));
  const lost = losses.map(
    ([name, result]) => `- ${name}: ${cellText(result, "bypass")}, noise ${cellText(result, "tcpAgain")}`,
  );
  return `
Measured on ${where}; ${what}; ${rounds} rounds of ${ms} ms.

![Ratio to plain TCP by message size](sizes.svg)

![Ratio to plain TCP of other traffic and programs](workloads.svg)

### Where the bypass loses

Cells in which its median is worse than plain TCP by more than the second plain TCP differed in any round:

${lost.length === 0 ? "none" : lost.join("\n")}

### All cells

Ratios to plain TCP, medians of the rounds; behind them the smallest and the largest round. Less is better where the unit is marked with ↓.

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
  const plain = `${result.medians.tcp?.toLocaleString("en-US")} ${result.unit}${result.isCost ? " ↓" : ""}`;
  return `| ${name} | ${plain} | ${columns.map((way) => cellText(result, way)).join(" | ")} |`;
}

function cellText({ ratios, spread }: Result, way: Way): string {
  const [low, high] = spread[way] ?? [];
  const ratio = ratios[way]?.toFixed(2);
  if (ratio === undefined || low === undefined || high === undefined) return "-";
  return `${way === "bypass" ? `**${ratio}**` : ratio} (${low.toFixed(2)}–${high.toFixed(2)})`;
}

function isLoss({ ratios, spread, isCost }: Result): boolean {
  const ratio = ratios.bypass ?? 1;
  const [low, high] = spread.tcpAgain ?? [1, 1];
  return isCost ? ratio > Math.max(high, 1) : ratio < Math.min(low, 1);
}

if (require.main === module) {
  draw(read());
}
