// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { defaultStateDir, type StepName, stepNames } from "./lines";
import { printable } from "./printable";
import { quote, shellLine } from "./quote";
import { isRoots } from "./trust";
import type { Installed } from "./undo";

/** What a stack knows of a step since it ran last. */
export interface LastStep {
  /** What was typed. */
  readonly line: string;
  /** What the host answered. */
  readonly answer: string;
}
type LastSteps = Readonly<Partial<Record<StepName, LastStep>>>;

/** What a host says of an installation. */
export interface Found {
  /** For each step the number it was told to keep, and one more where it has drifted. */
  readonly epochs: Readonly<Record<string, number>>;
  /** What differs from what was declared, in words. */
  readonly problems: readonly string[];
}

/**
 * A line that prints what `status --json` says, and where nothing is installed what an installation would be refused for. It never fails: a preview
 * goes on.
 */
export function lookAt(on: Omit<Installed, "owner">): string {
  const script = `${on.stateDir}/${on.instance}/socket-bypass`;
  const state = on.stateDir === defaultStateDir ? [] : ["--state-dir", on.stateDir];
  const status = shellLine(["sh", script, "status", "--json", "--instance", on.instance, ...state]);
  const lacking = `PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin; command -v bpftool >/dev/null || echo lacks bpftool; echo machine "$(uname -m)"`;
  const strange = `if [ -f ${quote(script)} ]; then echo foreign script; fi`;
  return `if [ -f ${quote(script)} ] && ${isRoots(script)} 2>/dev/null; then ${status} 2>/dev/null || echo; else ${strange}; ${lacking}; fi`;
}

/** Nothing that a host answers is trusted to have a shape: whoever has it decides what it prints, and all other hosts go on. */
const answer = z.object({
  epochs: z.record(z.string().max(32), z.number().int().min(0).max(Number.MAX_SAFE_INTEGER)),
  problems: z.array(z.string()),
});
/** Of them a preview shows no more. */
const mostProblems = 20;

/**
 * The epochs of a host, from what the line printed; undefined where that is none of what it can print. Where it printed that there is nothing to
 * ask, or status failed, each step that the stack has gets another number than it was told last, so that it runs; it keeps that, and the next look finds it there.
 */
export function readFound(printed: string, machine: string, last: LastSteps): Found | undefined {
  // Some login shells print something of their own first.
  const line = printed.trimEnd().split("\n").at(-1) ?? "";
  const its = /^machine ([\w.-]{1,32})$/.exec(line)?.[1];
  const told = answer.safeParse(asJson(line)).data;
  if (told === undefined) {
    const isBlank = /(^|\n)\s*$/.test(printed.replace(/\n$/, ""));
    if (its === undefined && !isBlank) return undefined;
    return { epochs: epochsAfter(last, 1), problems: refusals(printed, machine, its) };
  }
  const epochs = stepNames.flatMap((step) => {
    const number = Object.hasOwn(told.epochs, step) ? told.epochs[step] : undefined;
    return number === undefined ? [] : [[step, number] as const];
  });
  const more = told.problems.length - mostProblems;
  const problems = told.problems.slice(0, mostProblems).map(printable);
  return { epochs: Object.fromEntries(epochs), problems: more > 0 ? [...problems, `${more} more`] : problems };
}

/** What the steps were told last, so that they do not change. */
export function keptEpochs(last: LastSteps): Record<string, number> {
  return epochsAfter(last, 0);
}

/** Of nothing but the state: a time would be another one in `up` than in its preview. A step that the stack does not have is made in any case. */
function epochsAfter(last: LastSteps, more: number): Record<string, number> {
  return Object.fromEntries(Object.entries(last).map(([step, { line }]) => [step, epochIn(line) + more]));
}

function asJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const foreign =
  "stateDir: expected root to own the script there and all folders above it, and nobody else to write to them, found otherwise, so it was not run; correct that, or choose another stateDir";

function refusals(printed: string, machine: string, told: string | undefined): string[] {
  const its = told?.replace("arm64", "aarch64") ?? machine;
  return [
    ...(/^foreign script$/m.test(printed) ? [foreign] : []),
    ...(/^lacks bpftool$/m.test(printed) ? ["bpftool: expected it on the host, found none; install it"] : []),
    ...(its === machine ? [] : [`machine: expected ${machine}, found a host of type ${its}; declare that`]),
  ];
}

/** The number in a step's line as it was typed last. */
export function epochIn(line: string): number {
  return Number(/ --epoch (\d+)(?: --digest \S+)?$/.exec(line)?.[1] ?? 0);
}
