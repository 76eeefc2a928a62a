// SPDX-License-Identifier: Apache-2.0
// Measures every cell in five ways on this machine, as root: `npm run bench -- [--quick] [--rounds
// N] [--ms N] [--only TEXT] [--write]`
//
//   --quick               fewer and shorter rounds, within 5 minutes
//   --rounds N, --ms N    rounds (7), and length of a run (400)
//   --only TEXT           only cells whose name contains the text
//   --write               keep the result and draw it in docs/explanation/benchmarks/; with
//                         --only, replace only those cells
//
// The last line of stdout is one JSON object from cell name to {tcp, tcpAgain, article, bypass,
// unix, ratio}, where ratio is bypass to tcp. docs/explanation/benchmarks/README.md tells how it is
// measured.
import * as os from "node:os";
import { parseArgs } from "node:util";
import { type Cell, measure, type Result, type Suite } from "../report/cell";
import { describeMachine } from "../report/machine";
import { memory } from "./memory";
import { networks } from "./networks";
import { writePage } from "./page";
import { programs } from "./programs";
import { sockets } from "./sockets";
import { closeWays, openWays, type Way, ways } from "./ways";

const { values } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    rounds: { type: "string" },
    ms: { type: "string" },
    only: { type: "string", default: "" },
    write: { type: "boolean", default: false },
  },
});
const rounds = Number(values.rounds ?? (values.quick ? 3 : 7));
const ms = Number(values.ms ?? (values.quick ? 150 : 400));

async function main(): Promise<void> {
  if (os.cpus().length < 2) throw new Error("bench: expected two CPUs or more, found one");
  const machine = { ...describeMachine(), rounds, ms };
  const suites = [sockets(ms), networks(ms), programs(ms), memory()];
  const results: Record<string, Result> = {};
  const chosen = suites.map((suite) => ({ ...suite, cells: suite.cells.filter(isWanted) }));
  const count = chosen.reduce((sum, { cells }) => sum + cells.length, 0);
  let done = 0;
  say(`${count} cells, ${rounds} rounds; ratios to plain TCP\n${line("cell", (way) => way)}`);
  try {
    openWays();
    for (const suite of chosen.filter(({ cells }) => cells.length > 0)) {
      await inside(suite, async (cell) => {
        const result = await measure(cell, rounds);
        results[cell.name] = result;
        say(`${line(cell.name, (way) => result.ratios[way]?.toFixed(2) ?? "-")}   ${++done}/${count}`);
      });
    }
  } finally {
    closeWays();
  }
  if (values.write) writePage({ machine, results }, values.only === "");
  console.log(JSON.stringify(Object.fromEntries(Object.entries(results).map(([name, one]) => [name, brief(one)]))));
}

function isWanted(cell: Cell): boolean {
  return cell.name.includes(values.only);
}

async function inside(suite: Suite, act: (cell: Cell) => Promise<void>): Promise<void> {
  try {
    await suite.open?.();
    for (const cell of suite.cells) await act(cell);
  } finally {
    await suite.close?.();
  }
}

function brief({ medians, ratios }: Result): Record<string, number | null> {
  const found = Object.fromEntries(ways.map((way) => [way, medians[way] ?? null]));
  return { ...found, ratio: ratios.bypass ?? null };
}

function line(name: string, column: (way: Way) => string): string {
  return (
    name.padEnd(56) +
    ways
      .filter((way) => way !== "tcp")
      .map((way) => column(way).padStart(9))
      .join("")
  );
}

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

main().catch((error: unknown) => {
  say(error instanceof Error ? `${error.message}` : `${error}`);
  process.exitCode = 1;
});
