// SPDX-License-Identifier: Apache-2.0
// Collects the texts of errors from shell scripts, and from shell lines within other sources.
import * as fs from "node:fs";
import { join } from "node:path";

/** Stands in a text for whatever differs from one error to the next. */
export const GAP = "…";

export interface ErrorText {
  readonly path: string;
  readonly text: string;
}

/** Scripts that run on a host or in a pod. Those of host/build run where the package is made. */
const places: readonly (readonly [folder: string, ending: string])[] = [
  ["host/script", ".sh"],
  ["host/pod", ".sh"],
  ["bpf", "build.sh"],
];

/** What prints an error, and the variables that hold one. */
const speakers = /(?:^|[\s({;&|])(?:(?:err|usage|warn|problem|finding \w+) |(?:echo|say|what =) (?=".*\bexpected ))"/gm;

/** The errors of the scripts: what `err`, `usage`, `finding` and others of their kind print. */
export function scriptErrors(root: string): readonly ErrorText[] {
  return places.flatMap(([folder, ending]) =>
    filesBelow(root, folder, ending).flatMap((path) => {
      // In the text of a unit, systemd reads two dollars as one.
      const source = fs.readFileSync(join(root, path), "utf8").replaceAll("\\$\\$", "$");
      return [...callsIn(source), ...awkTexts(source)].map((text) => ({ path, text }));
    }),
  );
}

function callsIn(source: string): string[] {
  const texts: string[] = [];
  for (const { index, 0: start } of source.matchAll(speakers)) {
    const text = shellText(source.slice(index + start.length)).replace(/^(?:socket-bypass|bpf\/build\.sh): /, "");
    // awk joins what follows, and puts the service in front.
    texts.push(start.endsWith('what = "') ? `note: ${GAP}: ${text.replace(/ found$/, ` found ${GAP}`)}` : text);
  }
  return texts.filter(isTelling);
}

/** A part in awk gives the end of each of its errors to a function, which holds the beginning. */
function awkTexts(source: string): string[] {
  const begin = /function fail\(what\) \{ print "([^"]*)" what/.exec(source)?.[1];
  if (begin === undefined) return [];
  return [...source.matchAll(/[^n] fail\((.*)\)$/gm)].map(([, words = ""]) => {
    const parts = words.match(/"(?:\\.|[^"\\])*"|[^"]+/g) ?? [];
    return clean(
      begin + parts.map((part) => (part.startsWith('"') ? part.slice(1, -1).replace(/\\/g, "") : GAP)).join(""),
    );
  });
}

/** What a shell line within another source prints, when the line is a text of that source. */
export function echoesIn(text: string): string[] {
  return [...text.matchAll(/echo "socket-bypass: /g)]
    .map(({ index, 0: start }) => shellText(text.slice(index + start.length)))
    .filter(isTelling);
}

/** A double-quoted text up to its end, with gaps for what the shell puts in. */
function shellText(rest: string): string {
  let text = "";
  for (let at = 0; at < rest.length && rest[at] !== '"'; at++) {
    const one = rest[at];
    if (one === "\\") text += rest[++at];
    else if (one === "$") {
      at = endOfExpansion(rest, at);
      text += GAP;
    } else text += one;
  }
  return clean(text);
}

function endOfExpansion(text: string, start: number): number {
  const open = text[start + 1];
  const close = open === "{" ? "}" : open === "(" ? ")" : undefined;
  if (close === undefined) return start + (/^(?:\w+|.)/.exec(text.slice(start + 1))?.[0].length ?? 0);
  let depth = 0;
  for (let at = start + 1; at < text.length; at++) {
    if (text[at] === open) depth++;
    if (text[at] === close && --depth === 0) return at;
  }
  return text.length;
}

/** Whether a text says something by itself, and not only around a gap or in its advice. */
export function isTelling(text: string): boolean {
  const told = text.replace(/^(?:note|socket-bypass): /, "").replace(/\b(?:expected|found|failed|none|to|no)\b/g, "");
  return told.replace(/[^A-Za-z;]/g, "").length >= 5 && !/^[^A-Za-z]*;/.test(told);
}

export function clean(text: string): string {
  return text
    .replace(/(?:…\s*)*…/g, GAP)
    .replace(/\s+/g, " ")
    .trim();
}

export function filesBelow(root: string, folder: string, ending: string): string[] {
  return fs
    .readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(ending))
    .sort()
    .map((name) => `${folder}/${name}`);
}
