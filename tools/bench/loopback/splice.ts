// SPDX-License-Identifier: Apache-2.0
// What the splice guard costs programs that do not need it, in instructions, as root:
// `npm run bench:splice -- [--only KERNEL[,KERNEL]] [--rounds N] [--ms N] [--write]`
//
//   --only KERNELS       virtual machines of test/kernels; default: debian13, which has all methods
//                        except the one by system calls
//   --rounds N, --ms N   rounds (3), and length of a cell in millions of instructions (10)
//   --write              keep the result in docs/explanation/benchmarks/
//
// The last line of stdout is one JSON object from kernel to {release, ways}, where ways maps each
// method and cell to {off, added, ratio, low, high}. docs/explanation/benchmarks/splice-guard.md
// tells how it is measured.
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { withGuest } from "../../../test/kernels/guest";
import { getImage, kernels, say } from "../../../test/kernels/image";
import { Remote } from "../../../test/kernels/remote";
import { read, write, writeSection } from "../report/figures";
import { median } from "../report/median";
import { tools } from "./probe";

interface Cell {
  /** Instructions without the guard: the median of the rounds. */
  readonly off: number;
  /** How many more there are with the guard: the median of the rounds. */
  readonly added: number;
  /** The ratio of those with the guard to those without it: median, smallest and largest round. */
  readonly ratio: number;
  readonly low: number;
  readonly high: number;
}

interface Report {
  readonly release: string;
  /** By method, then by cell. */
  readonly ways: Record<string, Record<string, Cell>>;
}

const { values } = parseArgs({
  options: {
    only: { type: "string", default: "debian13" },
    rounds: { type: "string", default: "3" },
    ms: { type: "string", default: "10" },
    write: { type: "boolean", default: false },
  },
});
const [rounds, ms] = [Number(values.rounds), Number(values.ms)];

/** This folder is on the virtual machine. */
const folder = "/opt/socket-bypass-bench";
const group = "/sys/fs/cgroup/socket-bypass-bench";

async function main(): Promise<void> {
  if (!(rounds >= 1 && ms >= 1))
    throw new Error(`bench: expected --rounds and --ms of at least 1, found ${values.rounds} and ${values.ms}`);
  const reports: Record<string, Report> = {};
  for (const name of values.only.split(",")) {
    const kernel = kernels.find((one) => one.name === name && one.architecture === "amd64");
    if (kernel === undefined)
      throw new Error(`bench: expected --only to name a machine of test/kernels, found ${name}`);
    const image = await getImage(kernel, true);
    reports[name] = await withGuest(image, async ({ config }) => measureOn(new Machine(config, "bench", folder)), {
      countsInstructions: true,
    });
  }
  if (values.write) writePage(reports);
  console.log(JSON.stringify(reports));
}

class Machine extends Remote {
  /** The instructions of each cell. */
  measure(isEnrolled: boolean): Map<string, number> {
    const command = isEnrolled
      ? `${folder}/probe-x86_64 cgroup ${group} -- ${folder}/reads ${ms} enrolled`
      : `${folder}/reads ${ms}`;
    const lines = this.sh(command).trim().split("\n");
    return new Map(lines.map((line) => line.split(" ")).map(([name = "", ns]) => [name, Number(ns)]));
  }

  redirected(): number {
    return this.status().generations[0]?.counters.redirected_messages ?? 0;
  }
}

function measureOn(machine: Machine): Report {
  const program = compile();
  machine.send(tools);
  machine.send(program);
  fs.rmSync(program, { recursive: true });
  const way = (one: string) => `SOCKET_BYPASS_SPLICE_WAYS=${one}`;
  machine.sh(`mkdir ${group}`);
  const where = `--from ${folder} --ports 1-65535 --off --cgroup /socket-bypass-bench`;
  machine.verb(`apply ${where} --splice-guard off`);
  const found: Report["ways"] = {};
  for (const one of ["lsm", "fmod_ret", "syscall"]) {
    machine.verb("attach --cgroup /socket-bypass-bench --splice-guard auto", way(one));
    const { spliceGuard } = machine.status();
    if (spliceGuard.method !== one) {
      say(`${one}: not measured: ${spliceGuard.why}`);
      continue;
    }
    found[one] = measureWay(machine, way(one));
  }
  return { release: machine.sh("uname -r").trim(), ways: found };
}

function measureWay(machine: Machine, way: string): Record<string, Cell> {
  const off = new Map<string, number[]>();
  const added = new Map<string, number[]>();
  const ratios = new Map<string, number[]>();
  for (let round = 1; round <= rounds; round++) {
    const taken: Record<string, Map<string, number>> = {};
    for (const word of round % 2 ? ["off", "auto"] : ["auto", "off"]) {
      machine.verb(`attach --cgroup /socket-bypass-bench --splice-guard ${word}`, way);
      const before = machine.redirected();
      taken[word] = new Map([...machine.measure(false), ...machine.measure(true)]);
      if (machine.redirected() - before < 1000)
        throw new Error(`bench: expected redirected messages, found ${machine.redirected() - before}`);
    }
    for (const [name, ns] of taken.off ?? []) {
      off.set(name, [...(off.get(name) ?? []), ns]);
      const guarded = taken.auto?.get(name) ?? Number.NaN;
      added.set(name, [...(added.get(name) ?? []), guarded - ns]);
      ratios.set(name, [...(ratios.get(name) ?? []), guarded / ns]);
    }
    say(`${way}: round ${round} of ${rounds}`);
  }
  return Object.fromEntries(
    [...ratios].map(([name, all]) => {
      const sorted = [...all].sort((a, b) => a - b);
      const cell = {
        off: median(off.get(name) ?? []),
        added: median(added.get(name) ?? []),
        ratio: median(all),
        low: sorted[0] ?? 0,
        high: sorted.at(-1) ?? 0,
      };
      return [name, cell];
    }),
  );
}

/** Makes a folder with the compiled program in it. */
function compile(): string {
  const into = fs.mkdtempSync(join(tmpdir(), "socket-bypass-bench-"));
  const flags = ["-O2", "-static", "-Wall", "-Wextra", "-Werror"];
  execFileSync("clang-19", [...flags, "-o", join(into, "reads"), join(__dirname, "reads.c")]);
  return into;
}

/** What was not measured this time stays. */
function writePage(measured: Record<string, Report>): void {
  const reports: Record<string, Report> = { ...JSON.parse(read("splice.json")), ...measured };
  write("splice.json", `${JSON.stringify(reports, undefined, 1)}\n`);
  const tables = Object.values(reports).map(({ release, ways }) => {
    const names = [...new Set(Object.values(ways).flatMap((cells) => Object.keys(cells)))];
    const rows = names.map((name) => {
      const first = Object.values(ways)[0]?.[name];
      const ratios = Object.values(ways).map((cells) => cellText(cells[name]));
      return `| ${name} | ${Math.round(first?.off ?? 0)} | ${ratios.join(" | ")} |`;
    });
    return `Linux ${release}:

| calls | instructions without ↓ | ${Object.keys(ways).join(" | ")} |
|---|---|${Object.keys(ways)
      .map(() => "---|")
      .join("")}
${rows.join("\n")}
`;
  });
  const how = `Measured on ${new Date().toISOString().slice(0, 10)} by counting instructions; ${rounds} round${rounds === 1 ? "" : "s"} of ${ms} million for each cell.`;
  writeSection("splice-guard.md", "splice", `\n${how}\n\n${tables.join("\n")}\n`);
}

function cellText(cell: Cell | undefined): string {
  if (cell === undefined) return "-";
  const added = Math.round(cell.added);
  const [ratio, low, high] = [cell.ratio, cell.low, cell.high].map((one) => one.toFixed(2));
  const range = low === high ? "" : ` (${low}–${high})`;
  return `${added < 0 ? "" : "+"}${added}: ${ratio}${range}`;
}

main().catch((error: Error) => {
  say(error.message);
  process.exitCode = 1;
});
