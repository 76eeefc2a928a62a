// SPDX-License-Identifier: Apache-2.0
import { Problem } from "./problem";

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}
export interface Family {
  /** The lines # TYPE, # UNIT and # HELP. */
  readonly about: readonly string[];
  readonly samples: readonly Sample[];
}

const mostLines = 100_000;
const longestLine = 8192;

/** Reads OpenMetrics text as `socket-bypass metrics` prints it: printable, with its end. */
export function readMetrics(text: string): Map<string, Family> {
  const lines = text.trimEnd().split("\n", mostLines + 2);
  if (lines.length > mostLines + 1) throw new Problem(`answers with more than ${mostLines} lines of metrics`);
  if (lines.pop() !== "# EOF") throw new Problem("answers with no OpenMetrics text: its end is missing");
  const families = new Map<string, { about: string[]; samples: Sample[] }>();
  let family: { about: string[]; samples: Sample[] } | undefined;
  for (const line of lines) {
    if (line.length > longestLine)
      throw new Problem(`answers with a line of metrics of more than ${longestLine} bytes`);
    const [, name = ""] = /^# (?:TYPE|UNIT|HELP) (socket_bypass\w*) [ -~]*$/.exec(line) ?? [];
    if (name !== "") {
      family = families.get(name) ?? { about: [], samples: [] };
      families.set(name, family);
      family.about.push(line);
      continue;
    }
    const sample = readSample(line);
    if (sample === undefined || family === undefined)
      throw new Problem(`answers with no OpenMetrics text: ${JSON.stringify(line.slice(0, 80))}`);
    family.samples.push(sample);
  }
  return families;
}

/** Takes a line apart from its begin to its end, so that no line costs more than its length. */
function readSample(line: string): Sample | undefined {
  if (!/^[ -~]*$/.test(line)) return undefined;
  let at = 0;
  const take = (part: RegExp) => {
    part.lastIndex = at;
    const found = part.exec(line);
    if (found !== null) at = part.lastIndex;
    return found;
  };
  const name = take(/socket_bypass\w*/y)?.[0];
  const labels: [string, string][] = [];
  if (take(/\{/y) && !take(/\}/y))
    for (let isLast = false; !isLast; ) {
      const [, label, text, end] = take(/(\w+)="((?:[^"\\]|\\.)*)"(,?\}|,)/y) ?? [];
      if (label === undefined || text === undefined) return undefined;
      labels.push([label, text]);
      isLast = end !== ",";
    }
  const value = Number(take(/ ([-+.\deE]{1,32})$/y)?.[1] ?? NaN);
  return name === undefined || !Number.isFinite(value)
    ? undefined
    : { name, labels: Object.fromEntries(labels), value };
}

/** One text of what several hosts said, with a label `host`. */
export function mergeMetrics(
  all: readonly { readonly host: string; readonly families: Map<string, Family> }[],
): string {
  const names = [...new Set(all.flatMap(({ families }) => [...families.keys()]))];
  const parts = names.flatMap((name) => {
    const its = all.flatMap(({ host, families }) => {
      const family = families.get(name);
      return family === undefined ? [] : [{ host, family }];
    });
    return [
      ...(its[0]?.family.about ?? []),
      ...its.flatMap(({ host, family }) => family.samples.map((sample) => sampleLine(host, sample))),
    ];
  });
  return [...parts, "# EOF"].join("\n");
}

function sampleLine(host: string, { name, labels, value }: Sample): string {
  const all = [["host", host.replace(/["\\]/g, "\\$&")], ...Object.entries(labels)];
  return `${name}{${all.map(([label, text]) => `${label}="${text}"`).join(",")}} ${value}`;
}
