// SPDX-License-Identifier: Apache-2.0
// Writes advise.json in docs/explanation/benchmarks, and the table made from it. Run alone, `npx
// tsx tools/bench/advise/page.ts` writes the table of the same figures again.
import type { Result } from "../report/cell";
import { machineText, type Run, read, write, writeSection } from "../report/figures";

interface Range {
  readonly low: number;
  readonly high: number;
}

/** What `advise` said of a service that ran over plain TCP, and what was measured then. */
export interface Measured {
  readonly service: string;
  readonly title: string;
  readonly port: number;
  readonly program: string;
  readonly clients: readonly string[];
  readonly kind: string;
  readonly bytesPerMessage: { readonly inbound: number; readonly outbound: number };
  readonly advice: string;
  /** Kinds. */
  readonly dangers: readonly string[];
  /** By the shipped table. */
  readonly expected: Range | null;
  /** By this host's own bench. */
  readonly expectedHere: Range | null;
  /** By how many CPUs its server and its load had. */
  readonly measured?: Readonly<Record<string, Result>>;
  /** What became of it in the bypass, if it was only tried. */
  readonly bypassed?: string;
}

export interface Report {
  readonly machine: Run;
  /** The share of all processors that other processes took meanwhile. */
  readonly others: number;
  readonly services: readonly Measured[];
}

export function writeAdvise(report: Report): void {
  write("advise.json", `${JSON.stringify(report, undefined, 1)}\n`);
  writeSection("advise.md", "advise", section(report));
}

export function section({ machine, others, services }: Report): string {
  return `
${machineText(machine)}
Meanwhile other processes took ${(others * 100).toFixed(0)} % of the processors' time.

| port | program | advice | expected by the table | by this host's bench | measured on one CPU | on two CPUs | inside the table's range | inside its bench's |
|---|---|---|---|---|---|---|---|---|
${services.map(row).join("\n")}

${missesText(services)}

`;
}

function row(one: Measured): string {
  const { port, title, advice, dangers, expected, expectedHere } = one;
  const word = dangers.length > 0 ? `${advice} (${dangers.join(", ")})` : advice;
  const ranges = [expected, expectedHere].map(rangeText);
  const inside = [expected, expectedHere].map((range) => insideText(range, one.measured));
  return `| ${[port, title, word, ...ranges, ...cpus.map((name) => measuredText(one, name)), ...inside].join(" | ")} |`;
}

const cpus = ["one CPU", "two CPUs"] as const;

function measuredText({ measured, bypassed }: Measured, name: string): string {
  const result = measured?.[name];
  if (result !== undefined) return ratioText(result);
  return bypassed === undefined ? "-" : `not measured: ${bypassed}`;
}

function ratioText({ ratios, spread }: Result): string {
  return `**${ratios.bypass?.toFixed(2)}** (${spreadText(spread.bypass)})`;
}

function spreadText([low, high]: readonly [number, number] = [Number.NaN, Number.NaN]): string {
  return `${low.toFixed(2)}–${high.toFixed(2)}`;
}

function rangeText(range: Range | null): string {
  return range === null ? "-" : spreadText([range.low, range.high]);
}

function insideText(range: Range | null, measured: Measured["measured"]): string {
  if (range === null || measured === undefined) return "-";
  const sides = Object.values(measured).map((result) => sideOf(range, result));
  if (sides.every((side) => side === "inside")) return "yes";
  return sides.some((side) => side === "inside") ? "in part" : "no";
}

/** As they are shown, with two digits. */
function sideOf({ low, high }: Range, { ratios }: Result): "inside" | "below" | "above" {
  const ratio = Math.round((ratios.bypass ?? Number.NaN) * 100);
  if (ratio < Math.round(low * 100)) return "below";
  return ratio > Math.round(high * 100) ? "above" : "inside";
}

function missesText(services: readonly Measured[]): string {
  const found = services.flatMap(({ title, expected, expectedHere, measured }) =>
    Object.entries(measured ?? {}).flatMap(([name, result]) => {
      const misses = [
        ["the table", expected],
        ["this host's bench", expectedHere],
      ] as const;
      const said = misses.flatMap(([source, range]) => {
        const side = range === null ? "inside" : sideOf(range, result);
        return side === "inside" ? [] : [`${side} ${rangeText(range)} by ${source}`];
      });
      const noise = `plain TCP again ${result.ratios.tcpAgain?.toFixed(2)} (${spreadText(result.spread.tcpAgain)})`;
      return said.length === 0 ? [] : [`- ${title}, ${name}: ${ratioText(result)} is ${said.join(" and ")}; ${noise}`];
    }),
  );
  const every = "Every median lies inside both ranges that `advise` stated.";
  return found.length === 0
    ? every
    : `These medians lie outside a range that \`advise\` stated:\n\n${found.join("\n")}`;
}

if (require.main === module) {
  writeSection("advise.md", "advise", section(JSON.parse(read("advise.json")) as Report));
}
