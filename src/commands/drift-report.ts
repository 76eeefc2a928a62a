// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import type { Installed } from "./delete";
import { printable } from "./printable";
import { quote, shellLine } from "./quote";
import { isRoots } from "./trust";
import { defaultStateDir, type StepName, stepNames } from "./verbs";

/** What a stack knows of a step since the step last ran. */
export interface LastStep {
  /** The line that was typed. */
  readonly line: string;
  /** What the host answered to it. */
  readonly answer: string;
}
type LastSteps = Readonly<Partial<Record<StepName, LastStep>>>;

/** What a host reports about an installation. */
export interface Found {
  /** For each step the number that it was told to keep, plus one where the step has drifted. */
  readonly epochs: Readonly<Record<string, number>>;
  /** What differs from the declaration, in words. */
  readonly problems: readonly string[];
}

/**
 * A line that prints what `status --json` reports or, where nothing is installed, the reasons for
 * which an installation would be refused. It never fails, so that a preview goes on.
 */
export function lookAt(on: Omit<Installed, "owner">): string {
  const script = `${on.stateDir}/${on.instance}/socket-bypass`;
  const state = on.stateDir === defaultStateDir ? [] : ["--state-dir", on.stateDir];
  const status = shellLine(["sh", script, "status", "--json", "--instance", on.instance, ...state]);
  const lacking = `PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin; command -v bpftool >/dev/null || echo lacks bpftool; echo machine "$(uname -m)"`;
  const strange = `if [ -f ${quote(script)} ]; then echo foreign script; fi`;
  return `if [ -f ${quote(script)} ] && ${isRoots(quote(script))} 2>/dev/null; then ${status} 2>/dev/null || echo; else ${strange}; ${lacking}; fi`;
}

/**
 * The shape of an answer. It is checked strictly because whoever controls a host decides what that
 * host prints, and a bad answer must not stop the other hosts.
 */
const number = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const text = z.string().max(8192);
const answer = z.object({
  epochs: z.record(z.string().max(32), number),
  problems: z.array(z.string()),
  // The script of an earlier version does not send this.
  steps: z.record(z.string().max(32), z.object({ whole: z.boolean(), serial: number, generation: text })).optional(),
  policy: z
    .object({
      ...{ everything: z.boolean(), ports: text, cidrs: text, enabled: z.boolean(), queueBytes: number },
      // The script of an earlier version does not send this.
      refreshSeconds: number.default(0),
    })
    .optional(),
});
type Answer = z.infer<typeof answer>;
/** A preview shows at most this many problems. */
const mostProblems = 20;

/**
 * Reads the epochs of a host from what the line printed; undefined if the line cannot have printed
 * that. A step that is not whole, or that something other than this stack changed last, gets the
 * epoch that it was told last plus one: the host's own records cannot be trusted because they may
 * come from a restored snapshot. Where nothing is installed or `status` failed, each step of the
 * stack gets its last epoch plus one, so that it runs; it keeps that number, and the next look
 * finds it.
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
  const epochs: [StepName, number][] = [];
  const others: string[] = [];
  for (const step of stepNames) {
    const its = told.steps !== undefined && Object.hasOwn(told.steps, step) ? told.steps[step] : undefined;
    const known = last[step];
    if (its === undefined) {
      const epoch = Object.hasOwn(told.epochs, step) ? told.epochs[step] : undefined;
      if (epoch !== undefined) epochs.push([step, epoch]);
    } else if (known !== undefined) {
      const isOther = its.serial !== serialIn(known.answer) || its.generation !== wordIn(known.line, "--generation");
      const isOurs = !isOther && (step !== "policy" || hasPolicy(told, known.line));
      if (!isOurs) others.push(step);
      epochs.push([step, epochIn(known.line) + (isOurs && its.whole ? 0 : 1)]);
    }
  }
  const problems = [
    ...others.slice(0, 1).map(() => `${others.join(", ")}: ${changed}`),
    ...told.problems.map(printable),
  ];
  const more = problems.length - mostProblems;
  const shown = problems.slice(0, mostProblems);
  return { epochs: Object.fromEntries(epochs), problems: more > 0 ? [...shown, `${more} more`] : shown };
}

const changed =
  "expected what this stack made last, found something else: it was changed by hand or by another stack, or a snapshot was put back";

function serialIn(said: string): number {
  return Number(serialTextIn(said) || Number.NaN);
}

/**
 * The serial of a step: the number at the start of the last line of its answer, or in a self-test's
 * JSON the field of that name. It changes whenever the step changed anything, so the next step
 * needs only the serial and not the whole answer, which may be 2 KB. Empty where the answer has
 * none.
 */
export function serialTextIn(said: string): string {
  const line = said.trimEnd().split("\n").at(-1) ?? "";
  return /^(?:\{"serial":)?(\d{1,16})\b/.exec(line)?.[1] ?? "";
}

/**
 * The value of the last occurrence of a flag: what a user types stands before it or contains no
 * blank.
 */
export function wordIn(line: string, flag: string): string | undefined {
  return new RegExp(`.* ${flag} (\\S+) `).exec(line)?.[1];
}

/** The instance that a step's line names; undefined if it is not the line of a step. */
export function instanceIn(line: string): string | undefined {
  return wordIn(line, "--instance");
}

/** Whether the policy in the host's records is the one in the line that was typed last. */
function hasPolicy({ policy }: Answer, line: string): boolean {
  const words = / policy set (.*?) --instance /.exec(line)?.[1];
  if (policy === undefined || words === undefined) return true;
  const kept = ` ${words} `;
  return (
    policy.everything === kept.includes(" --everything ") &&
    policy.ports === (wordIn(kept, "--ports") ?? "") &&
    policy.cidrs === (wordIn(kept, "--cidrs") ?? "") &&
    `${policy.enabled}` === wordIn(kept, "--enabled") &&
    `${policy.queueBytes}` === (wordIn(kept, "--queue-bytes") ?? "0") &&
    `${policy.refreshSeconds}` === (wordIn(kept, "--refresh-seconds") ?? "0")
  );
}

/** The epochs that the steps were told last, so that their lines do not change. */
export function keptEpochs(last: LastSteps): Record<string, number> {
  return epochsAfter(last, 0);
}

/**
 * Computes epochs from the state alone: a timestamp would differ between `up` and its preview. A
 * step that the stack does not have yet is created in any case.
 */
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

/** The epoch in a step's line as it was last typed. */
export function epochIn(line: string): number {
  return Number(/ --epoch (\d+)(?: --digest \S+)?$/.exec(line)?.[1] ?? 0);
}
