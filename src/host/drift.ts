// SPDX-License-Identifier: Apache-2.0
import { defaultStateDir } from "./lines";
import { quote, shellLine } from "./quote";
import type { Installed } from "./undo";

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
  return `if [ -f ${quote(script)} ]; then ${status} 2>/dev/null || echo; else ${lacking}; fi`;
}

/**
 * The epochs of a host, from what the line printed. Where it printed nothing sensible the files are gone or were never there: each step
 * gets a number that it has never had, so that it runs; it keeps that, and the next look finds it there.
 */
export function readFound(printed: string, steps: readonly string[], machine: string, now: number): Found {
  try {
    // Some login shells print something of their own first.
    const { epochs, problems } = JSON.parse(printed.trimEnd().split("\n").at(-1) ?? "") as Partial<Found>;
    if (epochs !== undefined && problems !== undefined) return { epochs, problems };
  } catch {
    // Said by what follows.
  }
  const fresh = Math.floor(now / 1000);
  return { epochs: Object.fromEntries(steps.map((step) => [step, fresh])), problems: refusals(printed, machine) };
}

function refusals(printed: string, machine: string): string[] {
  const its = /^machine (\S+)$/m.exec(printed)?.[1]?.replace("arm64", "aarch64") ?? machine;
  return [
    ...(/^lacks bpftool$/m.test(printed) ? ["bpftool: expected it on the host, found none; install it"] : []),
    ...(its === machine ? [] : [`machine: expected ${machine}, found a host of type ${its}; declare that`]),
  ];
}

/** The number in a step's line as it was typed last. */
export function epochIn(line: string): number {
  return Number(/ --epoch (\d+)(?: --digest \S+)?$/.exec(line)?.[1] ?? 0);
}
