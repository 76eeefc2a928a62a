// SPDX-License-Identifier: Apache-2.0
import type { Comparison, Figures } from "./workload";

/** Formats the comparison as a table; ratios are to plain TCP. */
export function toTable(found: Comparison): string {
  const row = (name: string, figures: Figures) => [
    name,
    Math.round(figures.rps).toLocaleString("en-US"),
    `${figures.p50us}`,
    `${figures.p99us}`,
    `${(figures.rps / found.tcp.rps).toFixed(2)} x`,
  ];
  const rows = [
    ["", "requests/s", "p50 us", "p99 us", "ratio"],
    row("plain TCP", found.tcp),
    row("bypass", found.bypass),
    row("Unix socket", found.unix),
  ];
  const widths = [0, 1, 2, 3, 4].map((column) => Math.max(...rows.map((cells) => cells[column]?.length ?? 0)));
  const pad = (cell: string, column: number) => {
    const width = widths[column] ?? 0;
    return column === 0 ? cell.padEnd(width) : cell.padStart(width);
  };
  return rows.map((cells) => `  ${cells.map(pad).join("   ")}`).join("\n");
}
