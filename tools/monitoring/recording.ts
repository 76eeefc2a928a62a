// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { resolve } from "node:path";

/** What test/monitoring/record.ts has seen. */
export interface Recording {
  readonly command: string;
  readonly kernel: string;
  readonly scrapes: number;
  /**
   * By host, labels and name, the values in the notation of promtool: "1x3" is 1 four times,
   * "0+5x2" is 0, 5 and 10, and "_" is none.
   */
  readonly hosts: Readonly<Record<string, Readonly<Record<string, Readonly<Record<string, string>>>>>>;
}

/** One series as a Prometheus stores it that scrapes a host by its node-exporter. */
export interface Series {
  readonly name: string;
  /** As in `instance="works:9100",job="node"`. */
  readonly labels: string;
  readonly values: string;
}

export function* seriesOf(recording: Recording, host: string): Generator<Series> {
  for (const [labels, all] of Object.entries(recording.hosts[host] ?? {}))
    for (const [name, values] of Object.entries(all))
      yield { name, labels: `instance="${host}:9100",job="node"${labels && ","}${labels}`, values };
}

export function readRecording(): Recording {
  const file = resolve(__dirname, "../../test/monitoring/recorded.json");
  return JSON.parse(readFileSync(file, "utf8"));
}

/** Writes values that may be missing in the notation of promtool. */
export function compact(values: readonly (number | undefined)[], length: number): string {
  const parts: string[] = [];
  for (let at = 0; at < length; ) {
    const [value, following] = [values[at], values[at + 1]];
    const step = value === undefined || following === undefined ? 0 : following - value;
    let count = 0;
    while (at + count + 1 < length && isNext(values[at + count], values[at + count + 1], step)) count++;
    // Two values by a step are no shorter than each by itself.
    if (step !== 0 && count < 2) count = 0;
    const text = value === undefined ? "_" : String(value);
    parts.push(count === 0 ? text : step === 0 ? `${text}x${count}` : `${text}${step > 0 ? "+" : ""}${step}x${count}`);
    at += count + 1;
  }
  return parts.join(" ");
}

function isNext(value: number | undefined, following: number | undefined, step: number): boolean {
  return value === undefined || following === undefined ? value === following : following - value === step;
}

/** Reads that notation back. */
export function expand(text: string): (number | undefined)[] {
  return text.split(" ").flatMap((part) => {
    const [, first = "", , step = "0", count = "0"] =
      /^(_|-?[\d.e]+?)(([+-][\d.e]+)?x(\d+))?$/.exec(part) ?? wrong(part);
    return Array.from({ length: Number(count) + 1 }, (_, at) =>
      first === "_" ? undefined : Number(first) + at * Number(step),
    );
  });
}

function wrong(part: string): never {
  throw new Error(`recorded.json: expected values in the notation of promtool, found "${part}"`);
}
