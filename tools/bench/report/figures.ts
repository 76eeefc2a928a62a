// SPDX-License-Identifier: Apache-2.0
// How docs/explanation/benchmarks shows figures.
import * as fs from "node:fs";
import * as path from "node:path";
import type { Way } from "../loopback/ways";
import type { Result } from "./cell";
import type { Machine } from "./machine";

const folder = path.join(__dirname, "../../..", "docs", "explanation", "benchmarks");

export function read(name: string): string {
  return fs.readFileSync(path.join(folder, name), "utf8");
}

export function write(name: string, text: string): void {
  fs.mkdirSync(folder, { recursive: true });
  fs.writeFileSync(path.join(folder, name), text);
}

/** Replaces the text of a page between `<!-- NAME -->` and `<!-- end of NAME -->`. */
export function writeSection(file: string, name: string, text: string): void {
  const marks = [`<!-- ${name} -->`, `<!-- end of ${name} -->`] as const;
  const page = read(file);
  const [before] = page.split(marks[0]);
  const after = page.split(marks[1])[1] ?? "";
  write(file, `${before}${marks[0]}\n${text}${marks[1]}${after}`);
}

/** A measurement: the number of rounds of each cell, and their length in ms. */
export interface Run extends Machine {
  readonly rounds: number;
  readonly ms: number;
}

export function machineText({ date, kernel, cpu, cpus, memoryGiB, isVirtual, rounds, ms, versions }: Run): string {
  const where = `${date}, Linux ${kernel}, ${cpus} CPUs${isVirtual ? " of a virtual machine" : ""} (${cpu}), ${memoryGiB} GiB`;
  const what = Object.entries(versions)
    .map(([name, version]) => `${name} ${version}`)
    .join(", ");
  return `Measured on ${where}; ${what}; ${rounds} rounds of ${ms} ms.`;
}

export function plainText({ medians, unit, isCost }: Result): string {
  return `${medians.tcp?.toLocaleString("en-US")} ${unit}${isCost ? " ↓" : ""}`;
}

export function cellText({ ratios, spread }: Result, way: Way): string {
  const [low, high] = spread[way] ?? [];
  const ratio = ratios[way]?.toFixed(2);
  if (ratio === undefined || low === undefined || high === undefined) return "-";
  return `${way === "bypass" ? `**${ratio}**` : ratio} (${low.toFixed(2)}–${high.toFixed(2)})`;
}

/** The cells in which the bypass is worse, as a list. */
export function lossesText(results: Record<string, Result>): string {
  const lost = Object.entries(results)
    .filter(([, result]) => isLoss(result))
    .map(([name, result]) => `- ${name}: ${cellText(result, "bypass")}, noise ${cellText(result, "tcpAgain")}`);
  const worse =
    "the median of the bypass is worse than plain TCP by more than the second plain TCP differed in any round";
  return lost.length === 0 ? `There is no cell in which ${worse}.` : `In these cells ${worse}:\n\n${lost.join("\n")}`;
}

function isLoss({ ratios, spread, isCost }: Result): boolean {
  const ratio = ratios.bypass ?? 1;
  const [low, high] = spread.tcpAgain ?? [1, 1];
  return isCost ? ratio > Math.max(high, 1) : ratio < Math.min(low, 1);
}
