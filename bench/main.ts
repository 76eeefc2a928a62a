// SPDX-License-Identifier: Apache-2.0
// Ratios to plain TCP on this machine: `npm run bench -- [--rounds N] [--seconds S] [--only TEXT]`, as root, on a quiet machine.
//
// Method: one process tree; a private cgroup with the bypass and one without. A round runs each way of a cell once, in turn, so drift of
// the machine hits all alike; plain TCP runs twice, and "noise" is the second against the first. Reported are medians over the rounds
// and ratios of medians. The last line is one JSON object. Off-host is a reader outside the cgroup: nothing of it may be enrolled.
import { execFileSync, spawn } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { parseArgs } from "node:util";

const root = path.join(__dirname, "..");
const tools = path.join(root, "dist", "host");
const probe = path.join(tools, `probe-${os.machine()}`);
const { values } = parseArgs({
  options: { rounds: { type: "string" }, seconds: { type: "string" }, only: { type: "string" } },
});
const rounds = Number(values.rounds ?? 5);
const seconds = values.seconds ?? "1";

const mount = fs
  .readFileSync("/proc/mounts", "utf8")
  .split("\n")
  .find((line) => line.split(" ")[2] === "cgroup2")
  ?.split(" ")[1];
if (mount === undefined) throw new Error("bench: expected a cgroup v2 mount in /proc/mounts, found none; mount one");

const instance = `bench-${process.pid}`;
const groups = { plain: path.join(mount, `${instance}-plain`), bypass: path.join(mount, `${instance}-bypass`) };
const stateDir = fs.mkdtempSync(path.join(os.tmpdir(), "socket-bypass-bench-"));

type Way = "tcp" | "tcpAgain" | "bypass" | "unix";
interface Cell {
  readonly name: string;
  readonly run: (way: Way) => Promise<number> | number;
}

/** A run of the probe: round trips per second, or megabits per second of a stream. */
function bench(mode: "rr" | "stream", size: number, pin: string): Cell {
  return {
    name: `${mode} ${size} B, ${pin === "0,0" ? "one CPU" : "two CPUs"}`,
    run: (way) => {
      const transport = way === "unix" ? "unix" : "tcp";
      const line = execFileSync(
        probe,
        [
          ...["cgroup", way === "bypass" ? groups.bypass : groups.plain, "--", probe, "bench"],
          ...["--mode", mode, "--size", `${size}`, "--transport", transport, "--seconds", seconds, "--pin", pin],
        ],
        { encoding: "utf8" },
      );
      const answer = JSON.parse(line) as { rps: number; mbps: number };
      return mode === "rr" ? answer.rps : answer.mbps;
    },
  };
}

/** 2 GiB to a reader outside the cgroup, in bytes per second. */
const offHost: Cell = {
  name: "stream to a peer that is not here",
  run: async (way) => {
    const reader = spawn("socat", ["-u", "-b", "65536", "TCP-LISTEN:7311,bind=127.0.0.1,reuseaddr", "OPEN:/dev/null"]);
    await new Promise((resolve) => setTimeout(resolve, 200));
    const bytes = 2 ** 31;
    const started = process.hrtime.bigint();
    execFileSync("sh", [
      "-c",
      `head -c ${bytes} /dev/zero | "$0" cgroup "$1" -- socat -u -b 65536 STDIN TCP:127.0.0.1:7311`,
      ...[probe, way === "bypass" ? groups.bypass : groups.plain],
    ]);
    if (reader.exitCode === null) await new Promise((resolve) => reader.once("exit", resolve));
    return bytes / (Number(process.hrtime.bigint() - started) / 1e9);
  },
};

const sizes = [64, 1024, 16384, 65536, 262144];
const cells: Cell[] = [
  ...["0,0", "0,1"].flatMap((pin) => sizes.map((size) => bench("rr", size, pin))),
  ...["0,0", "0,1"].flatMap((pin) => sizes.map((size) => bench("stream", size, pin))),
  offHost,
].filter((cell) => cell.name.includes(values.only ?? ""));

const median = (numbers: number[]) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN;
const host = (...words: string[]) =>
  execFileSync("sh", [path.join(tools, "socket-bypass"), ...words, "--instance", instance, "--state-dir", stateDir], {
    stdio: ["ignore", "ignore", "inherit"],
  });

async function main(): Promise<void> {
  const results: Record<string, Record<string, number>> = {};
  for (const group of Object.values(groups)) fs.mkdirSync(group);
  try {
    host(
      ...["apply", "--generation", "0123456789ab", "--owner", "bench", "--from", tools],
      ...["--cgroup", `/${path.basename(groups.bypass)}`, "--everything"],
    );
    console.log("cell                                 noise  bypass    unix   (ratios to plain TCP)");
    for (const cell of cells) {
      const ways: Way[] = cell === offHost ? ["tcp", "bypass", "tcpAgain"] : ["tcp", "bypass", "tcpAgain", "unix"];
      const found: Record<Way, number[]> = { tcp: [], tcpAgain: [], bypass: [], unix: [] };
      for (let round = 0; round < rounds; round++) {
        for (const way of round % 2 === 0 ? ways : [...ways].reverse()) found[way].push(await cell.run(way));
      }
      const tcp = median(found.tcp);
      const ratio = (way: Way) => (found[way].length === 0 ? Number.NaN : median(found[way]) / tcp);
      const row = { tcp, noise: ratio("tcpAgain"), bypass: ratio("bypass"), unix: ratio("unix") };
      results[cell.name] = Object.fromEntries(
        Object.entries(row)
          .filter(([, value]) => !Number.isNaN(value))
          .map(([key, value]) => [key, Number(value.toPrecision(4))]),
      );
      const column = (value: number) => (Number.isNaN(value) ? "-" : value.toFixed(2)).padStart(8);
      console.log(`${cell.name.padEnd(34)}${column(row.noise)}${column(row.bypass)}${column(row.unix)}`);
    }
  } finally {
    host("remove", "--force");
    for (const group of Object.values(groups)) fs.rmdirSync(group);
    fs.rmSync(stateDir, { recursive: true, force: true });
  }
  console.log(JSON.stringify(results));
}

void main();
