// SPDX-License-Identifier: Apache-2.0
// Long: a run from its parts to its summary, and how a signal ends it.
/*
 * All tests: `npm test` is tools/setup/test.sh, which ends in this. Arguments go to one vitest, but
 * for --changed [BASE] (tools/setup/changed.ts); without any, the tests run in stages, and the
 * parts of one stage side by side. A file that fails is run once more when nothing else runs: one
 * that passes then is called flaky and does not fail the run, one that fails again does.
 *
 * exit: 0 every file passed, if only alone; 1 some did not; 128 + N ended by signal N, and so is all that this has started
 */
import { type ChildProcess, spawn } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { stripVTControlCharacters } from "node:util";
import { sweep } from "../../test/support/sweep.js";
import { findBase, listTests } from "./changed.js";
import type { FileReport, Report } from "./test-reporter.js";

const root = resolve(__dirname, "../..");

/** One call of vitest. */
export interface Part {
  readonly name: string;
  /** What runs it, before its own words. */
  readonly under?: readonly string[];
  /** Of vitest; they hold when one of its files is run alone, too. */
  readonly options: readonly string[];
  /** Which files, by what their paths contain; default: all that the options leave. */
  readonly files?: readonly string[];
}

/** A part that has ended. */
interface Run {
  readonly part: Part;
  readonly files: readonly FileReport[];
  /** Why it failed, where that is no file's fault. */
  readonly faults: readonly string[];
  /** What vitest itself says of how many. */
  readonly counts: readonly string[];
  /**
   * What vitest says of the failures, once more in one piece where several parts have written at
   * once.
   */
  readonly complaints: readonly string[];
}

interface Twice {
  readonly first: FileReport;
  readonly again: FileReport | undefined;
}

/** More files than these do not fail by chance, and none of them runs again. */
const MOST_BY_CHANCE = 10;

export const stages: readonly (readonly Part[])[] = [
  [{ name: "package and tools", options: ["--project", "package", "--project", "tools"] }],
  [{ name: "Kubernetes", options: ["--project", "kubernetes"] }],
  // More parts than two only take longer on two cores.
  [
    { name: "datapath and uses", options: ["--project", "datapath", "--project", "uses"] },
    { name: "host", under: ["sh", "tools/setup/isolate.sh"], options: ["--project", "host"] },
  ],
];

/**
 * Runs the stages in `folder` one after the other, then what failed, and tells whether everything
 * passed in the end.
 */
export async function runStages(all: readonly (readonly Part[])[], folder: string, say: (text: string) => void) {
  const runs: Run[] = [];
  for (const parts of all) {
    say(heading(`tests: ${parts.map(({ name }) => name).join("; at the same time: ")}`));
    const ended = await Promise.all(parts.map((part) => runPart(part, folder, say)));
    if (parts.length > 1) {
      for (const { part, complaints } of ended)
        if (complaints.length > 0) say(`${heading(`${part.name}: failed`)}${complaints.join("\n")}\n`);
    }
    runs.push(...ended);
  }
  const repeated: Run[] = [];
  const twice: Twice[] = [];
  const failed = runs.flatMap(({ files }) => files.filter(({ isOk }) => !isOk));
  for (const { part, files } of runs) {
    for (const first of files.filter((file) => failed.includes(file))) {
      if (failed.length > MOST_BY_CHANCE) {
        twice.push({ first, again: undefined });
        continue;
      }
      say(heading(`once more, alone: ${first.path}`));
      const run = await runPart({ ...part, name: `${first.path} alone`, files: [first.path] }, folder, say);
      repeated.push(run);
      twice.push({
        first,
        again: run.faults.length > 0 ? undefined : run.files.find(({ path }) => path === first.path),
      });
    }
  }
  say(summary(runs, repeated, twice));
  return runs.every(({ faults }) => faults.length === 0) && twice.every(({ again }) => again?.isOk === true);
}

function summary(runs: readonly Run[], repeated: readonly Run[], twice: readonly Twice[]): string {
  const lines: string[] = [];
  for (const { part, counts } of [...runs, ...repeated]) lines.push(`${part.name}:`, ...counts);
  lines.push("");
  const flaky = twice.filter(({ again }) => again?.isOk);
  if (flaky.length > 0)
    lines.push("FLAKY: these failed, and passed when they ran again alone. Find out why and mend it:");
  for (const { first } of flaky) lines.push(`flaky: ${titled(first)}`);
  for (const { first, again } of twice.filter((one) => !flaky.includes(one)))
    lines.push(`failed: ${titled(again ?? first)}`);
  const faults = runs.flatMap(({ part, faults }) => faults.map((fault) => `failed: ${part.name}: ${fault}`));
  const last = runs
    .flatMap(({ files }) => files)
    .map((file) => twice.find(({ first }) => first === file)?.again ?? file);
  const total = (count: (file: FileReport) => number) => last.reduce((sum, file) => sum + count(file), 0);
  // A file that fails before its first test counts for one.
  const failed = total((file) => (file.isOk ? 0 : Math.max(file.failed, 1))) + faults.length;
  const skipped = total((file) => file.skipped);
  lines.push(
    ...faults,
    timeTaken(),
    `${total((file) => file.passed)} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`,
  );
  return `${heading("result")}${lines.join("\n")}\n`;
}

/**
 * With what the same process ran before it became this program, such as the build; what no parent
 * waited for is missing.
 */
function timeTaken(): string {
  const fields = contentOf("/proc/self/stat").replace(/.*\) /s, "").split(" ").map(Number);
  const [user = 0, system = 0, userOfChildren = 0, systemOfChildren = 0] = fields.slice(11);
  const minutes = (ticks: number) => (ticks / 100 / 60).toFixed(1);
  return `processor time: ${minutes(user + userOfChildren)} min user, ${minutes(system + systemOfChildren)} min system`;
}

function titled({ path, failures }: FileReport): string {
  return `${path} (${failures.join("; ")})`;
}

function heading(text: string): string {
  return `\n== ${text} ==\n`;
}

const running = new Set<ChildProcess>();
let isInterrupted = false;

async function runPart(part: Part, folder: string, say: (text: string) => void): Promise<Run> {
  const report = join(scratch(), `${++ran}.json`);
  // Naming a reporter takes away the usual one.
  const isChosen = part.options.some((option) => option.startsWith("--reporter"));
  const vitest = [join(root, "node_modules/.bin/vitest"), "run", ...(isChosen ? [] : ["--reporter=default"])];
  const ours = `--reporter=${join(root, "tools/setup/test-reporter.ts")}`;
  const words = [...(part.under ?? []), ...vitest, ours, ...part.options, ...(part.files ?? [])];
  const { code, lines } = await follow(
    words,
    folder,
    { SOCKET_BYPASS_TEST_REPORT: report, SOCKET_BYPASS_TEST_SCRATCH: scratch() },
    say,
  );
  if (isInterrupted) await new Promise(() => {}); // The handler of the signal ends this process.
  const { files, errors } = readReport(report);
  const faults = [...errors];
  if (code !== 0 && faults.length === 0 && files.every(({ isOk }) => isOk))
    faults.push(`vitest ended with ${code} and named no file`);
  const plain = lines.map(stripVTControlCharacters);
  const begin = plain.findIndex((line) => /⎯ (?:Failed|Unhandled) /.test(line));
  return {
    part,
    files,
    faults,
    counts: plain.filter((line) => /^ +(?:Test Files|Tests) {2}/.test(line)),
    complaints: begin < 0 ? [] : lines.slice(begin),
  };
}

let ran = 0;
let scratchFolder: string | undefined;

/** For reports, and for what one test file can make for the others; gone when this process is. */
function scratch(): string {
  if (scratchFolder === undefined) {
    const folder = fs.mkdtempSync(join(tmpdir(), "socket-bypass-run-"));
    process.once("exit", () => fs.rmSync(folder, { recursive: true, force: true }));
    scratchFolder = folder;
  }
  return scratchFolder;
}

/** Runs a command to its end, shows what it writes in whole lines, and keeps them. */
async function follow(
  words: readonly string[],
  folder: string,
  env: Record<string, string>,
  say: (text: string) => void,
) {
  const [command = "", ...args] = words;
  if (process.stdout.isTTY) env = { FORCE_COLOR: "1", ...env };
  const child = spawn(command, args, {
    cwd: folder,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  running.add(child);
  const lines: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    let rest = "";
    stream.setEncoding("utf8");
    stream.on("data", (text: string) => {
      const whole = (rest + text).split("\n");
      rest = whole.pop() ?? "";
      lines.push(...whole);
      if (whole.length > 0) say(`${whole.join("\n")}\n`);
    });
    stream.on("end", () => {
      if (rest === "") return;
      lines.push(rest);
      say(`${rest}\n`);
    });
  }
  const code = await new Promise<number>((done, failed) => {
    child.once("error", failed);
    child.once("close", (status, signal) => done(signal === null ? (status ?? 1) : 128));
  });
  running.delete(child);
  return { code, lines };
}

function readReport(file: string): Report {
  // Absent when vitest ended before its tests did.
  return fs.existsSync(file) ? JSON.parse(fs.readFileSync(file, "utf8")) : { files: [], errors: [] };
}

/**
 * When a signal ends this process, it first ends what it has started, by their ids, waits for that,
 * and cleans up.
 */
export function endAtSignals(clean: () => Promise<void>): void {
  for (const [signal, number] of Object.entries({ SIGHUP: 1, SIGINT: 2, SIGTERM: 15 })) {
    process.on(signal, async () => {
      // A terminal, npm and a shell may each send it.
      if (isInterrupted) return;
      isInterrupted = true;
      const ends = [...running].map((child) => new Promise((done) => child.once("close", done)));
      const below = [...running].flatMap((child) => descendantsOf(child.pid));
      for (const child of running) child.kill("SIGTERM");
      await Promise.all(ends);
      // The workers of vitest end by themselves when it has, but not what a test has started.
      for (let tries = 0; tries < 50 && below.some(isAlive); tries++) await sleep(100);
      for (const { pid } of below.filter(isAlive)) process.kill(pid, "SIGKILL");
      await clean();
      process.exit(128 + number);
    });
  }
}

interface Process {
  readonly pid: number;
  /** By which it is told from a later one with its id. */
  readonly begun: string;
}

function descendantsOf(pid: number | undefined): Process[] {
  const children = contentOf(`/proc/${pid}/task/${pid}/children`).split(" ").filter(Boolean).map(Number);
  return children.flatMap((child) => [{ pid: child, begun: beginOf(child) }, ...descendantsOf(child)]);
}

function isAlive({ pid, begun }: Process): boolean {
  return begun !== "" && beginOf(pid) === begun;
}

/**
 * Empty when it is gone. One whose parent has not noticed yet still counts: to the sweep it is
 * alive as well.
 */
function beginOf(pid: number): string {
  return contentOf(`/proc/${pid}/stat`).replace(/.*\) /s, "").split(" ")[19] ?? "";
}

function contentOf(file: string): string {
  try {
    return fs.readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

async function main(args: readonly string[]): Promise<void> {
  // Tests that were ended could not remove what they had made.
  endAtSignals(sweep);
  const chosen = args[0]?.startsWith("--changed") ? stagesOf(args) : args.length > 0 ? [[await partOf(args)]] : stages;
  const isOk = await runStages(chosen, root, (text) => process.stdout.write(text));
  process.exitCode = isOk ? 0 : 1;
}

/**
 * `--changed`, `--changed BASE` or `--changed=BASE`: of each part, the files that a change since
 * then can touch.
 */
function stagesOf(args: readonly string[]): readonly (readonly Part[])[] {
  const [, base = findBase(root)] = args.length === 1 ? (args[0]?.split("=") ?? []) : args;
  if (args.length > 2)
    throw new Error(`run-tests: expected nothing after --changed BASE, found ${args.slice(2).join(" ")}`);
  const files = listTests(base, root);
  const names = files === "all" ? "all tests" : files.length === 0 ? "no test" : files.join("\n");
  console.log(`${heading(`what a change since ${base} can touch`)}${names}`);
  if (files === "all") return stages;
  if (files.length === 0) return [];
  return stages.map((parts) =>
    parts.map((part) => ({ ...part, options: [...part.options, "--passWithNoTests"], files })),
  );
}

/**
 * What stands in the arguments of vitest for files is no option: when one file is run again, it
 * stands there alone.
 */
async function partOf(args: readonly string[]): Promise<Part> {
  const { parseCLI } = await import("vitest/node");
  const files = parseCLI(["vitest", "run", ...args]).filter;
  const options = [...args];
  for (const file of [...files].reverse()) options.splice(options.lastIndexOf(file), 1);
  return { name: args.join(" "), options, files };
}

if (require.main === module) void main(process.argv.slice(2));
