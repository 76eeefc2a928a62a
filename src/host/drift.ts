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

/** A line that prints what `status --json` says, or nothing where nothing is installed. It never fails: a preview goes on. */
export function lookAt(on: Omit<Installed, "owner">): string {
  const script = `${on.stateDir}/${on.instance}/socket-bypass`;
  const state = on.stateDir === defaultStateDir ? [] : ["--state-dir", on.stateDir];
  const status = shellLine(["sh", script, "status", "--json", "--instance", on.instance, ...state]);
  return `if [ -f ${quote(script)} ]; then ${status} 2>/dev/null || echo; fi`;
}

/**
 * The epochs of a host, from what the line printed. Where it printed nothing sensible the files are gone or were never there: each step
 * gets a number that it has never had, so that it runs; it keeps that, and the next look finds it there.
 */
export function readFound(printed: string, steps: readonly string[], now: number): Found {
  try {
    const { epochs, problems } = JSON.parse(printed) as Partial<Found>;
    if (epochs !== undefined && problems !== undefined) return { epochs, problems };
  } catch {
    // Said by what follows.
  }
  const fresh = Math.floor(now / 1000);
  return { epochs: Object.fromEntries(steps.map((step) => [step, fresh])), problems: [] };
}
