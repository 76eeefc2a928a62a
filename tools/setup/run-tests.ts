// SPDX-License-Identifier: Apache-2.0
// Long: it runs the tests from their parts to the summary, and handles signals.
/*
 * Runs all tests; `npm test` is tools/setup/test.sh, which ends by calling this. Arguments go to a
 * single vitest, except for --changed [BASE] (tools/setup/changed.ts). Without arguments the tests
 * run in stages, and the parts of a stage run side by side. A file that fails runs once more when
 * nothing else does: if it passes then, it is called flaky and does not fail the run; if it fails
 * again, it does.
 *
 * exit: 0 every file passed, if only alone; 1 some did not; 128 + N ended by signal N, together
 * with everything that this has started
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
  /** The command under which it runs. */
  readonly under?: readonly string[];
  /** Options of vitest, which also apply when one of its files runs alone. */
  readonly options: readonly string[];
  /** The files, by what their paths contain; default: every file that the options select. */
  readonly files?: readonly string[];
}

/** A part that has ended. */
interface Run {
  readonly part: Part;
  readonly files: readonly FileReport[];
  /** Reasons for a failure that no file is to blame for. */
  readonly faults: readonly string[];
  /** vitest's own lines about how many passed. */
  readonly counts: readonly string[];
  /**
   * vitest's report of the failures, printed once more in one piece if several parts wrote at once.
   */
  readonly complaints: readonly string[];
}

interface Twice {
  readonly first: FileReport;
  readonly again: FileReport | undefined;
}

/** If more files than this fail, it is not by chance, and none of them runs again. */
const MOST_BY_CHANCE = 10;

export const stages: readonly (readonly Part[])[] = [
  [{ name: "package and tools", options: ["--project", "package", "--project", "tools"] }],
  [{ name: "Kubernetes", options: ["--project", "kubernetes"] }],
  // More than two parts at once would only take longer on two cores.
  [
    { name: "datapath and uses", options: ["--project", "datapath", "--project", "uses"] },
    { name: "host", under: ["sh", "tools/setup/isolate.sh"], options: ["--project", "host"] },
  ],
];

/**
 * Runs the stages in `folder` one after another, then the files that failed, and tells whether
 * everything passed in the end.
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
  // A file that fails before its first test counts as one failure.
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
 * Includes what this process ran before it became this program, such as the build. Processes for
 * which no parent waited are missing.
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
  // Naming a reporter removes the default one.
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

/**
 * A folder for reports, and for what one test file can make for the others; it is removed when this
 * process ends.
 */
function scratch(): string {
  if (scratchFolder === undefined) {
    const folder = fs.mkdtempSync(join(tmpdir(), "socket-bypass-run-"));
    process.once("exit", () => fs.rmSync(folder, { recursive: true, force: true }));
    scratchFolder = folder;
  }
  return scratchFolder;
}

/** Runs a command to its end, prints its output in whole lines, and keeps the lines. */
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
  // The report is missing if vitest ended before its tests did.
  return fs.existsSync(file) ? JSON.parse(fs.readFileSync(file, "utf8")) : { files: [], errors: [] };
}

/**
 * When a signal ends this process, it first ends the processes that it has started, by their ids,
 * waits for them, and cleans up.
 */
export function endAtSignals(clean: () => Promise<void>): void {
  for (const [signal, number] of Object.entries({ SIGHUP: 1, SIGINT: 2, SIGTERM: 15 })) {
    process.on(signal, async () => {
      // A terminal, npm and a shell may each send the signal.
      if (isInterrupted) return;
      isInterrupted = true;
      const ends = [...running].map((child) => new Promise((done) => child.once("close", done)));
      const below = [...running].flatMap((child) => descendantsOf(child.pid));
      for (const child of running) child.kill("SIGTERM");
      await Promise.all(ends);
      // The workers of vitest end by themselves once it has ended, but not what a test has started.
      for (let tries = 0; tries < 50 && below.some(isAlive); tries++) await sleep(100);
      for (const { pid } of below.filter(isAlive)) process.kill(pid, "SIGKILL");
      await clean();
      process.exit(128 + number);
    });
  }
}

interface Process {
  readonly pid: number;
  /** The start time, which tells the process from a later one with the same id. */
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
 * Empty if the process has gone. A process that its parent has not reaped yet still counts, because
 * the sweep takes it for alive as well.
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
  // Tests that were interrupted could not remove what they had made.
  endAtSignals(sweep);
  const chosen = args[0]?.startsWith("--changed") ? stagesOf(args) : args.length > 0 ? [[await partOf(args)]] : stages;
  const isOk = await runStages(chosen, root, (text) => process.stdout.write(text));
  process.exitCode = isOk ? 0 : 1;
}

/**
 * Handles `--changed`, `--changed BASE` and `--changed=BASE`: of each part, the files that a change
 * since then can affect.
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
 * Separates vitest's options from its file arguments, because a file that runs again is the only
 * file argument then.
 */
async function partOf(args: readonly string[]): Promise<Part> {
  const { parseCLI } = await import("vitest/node");
  const files = parseCLI(["vitest", "run", ...args]).filter;
  const options = [...args];
  for (const file of [...files].reverse()) options.splice(options.lastIndexOf(file), 1);
  return { name: args.join(" "), options, files };
}

if (require.main === module) void main(process.argv.slice(2));
