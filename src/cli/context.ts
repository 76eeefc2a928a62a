// SPDX-License-Identifier: Apache-2.0
import type { Arguments } from "./arguments";
import { askAll, type Manner, type Told } from "./ask";
import type { Host } from "./host";

/** What a verb has to work with. */
export class Context {
  readonly manner: Manner;

  constructor(
    readonly given: Arguments,
    readonly hosts: readonly Host[],
    readonly print: (text: string) => void,
  ) {
    // Questions of several ssh at once would mix.
    this.manner = { isBatch: hosts.length > 1 || !process.stdin.isTTY };
  }

  askAll<T>(work: (host: Host) => Promise<T>): Promise<Told<T>[]> {
    return askAll(this.hosts, this.given.parallel, work);
  }

  /** Prints what all hosts said, as JSON or as a text, and gives the exit code. */
  tell<T>(told: readonly Told<T>[], toJson: (value: T) => unknown, toText: () => string): number {
    if (this.given.isJson) {
      const hosts = told.map((one) =>
        "error" in one ? { host: one.host.name, error: one.error } : { host: one.host.name, answer: toJson(one.value) },
      );
      this.print(JSON.stringify({ hosts }));
    } else this.print(toText());
    return told.some((one) => "error" in one) ? 1 : 0;
  }
}

/** A line for each host that did not answer. */
export function failures(told: readonly Told<unknown>[]): string[] {
  return told.flatMap((one) => ("error" in one ? [`${one.host.name}: ${one.error}`] : []));
}
