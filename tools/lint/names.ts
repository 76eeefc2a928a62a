// SPDX-License-Identifier: Apache-2.0
import { commentsOf, type Files, isSource, linesOf } from "./files";

const paths = /(?<![\w./@$}~<>-])(?:src|host|bpf|tools|test|docs|examples|image)\/[\w./-]*\w/g;
/** A reference by number; none of our headings and rules has a number. */
const numbered = /\b(?:section|chapter|rule) \d+\b/gi;
/** Paths that look like ours and belong to others. */
const foreign = ["bpf/bpf_helpers.h"];
const endings = ["", ".ts", ".mjs", ".sh", ".c", ".py", ".md", ".test.ts"];

/** Checks that every file or folder of ours that pages and comments name exists. */
export function checkNames(files: Files): string[] {
  const there = new Set<string>();
  for (const path of files.keys()) {
    there.add(path);
    for (let at = path.lastIndexOf("/"); at > 0; at = path.lastIndexOf("/", at - 1)) there.add(path.slice(0, at));
  }
  return [...files].flatMap(([path, text]) =>
    [...proseOf(path, text)].flatMap(([at, prose]) => [
      ...[...prose.matchAll(paths)]
        .filter(([name]) => !foreign.includes(name) && !endings.some((ending) => there.has(`${name}${ending}`)))
        .map(([name]) => `${path}:${at}: ${name}: expected a file or folder of that name, found none`),
      ...[...prose.matchAll(numbered)].map(
        ([name]) => `${path}:${at}: ${name}: expected the heading's words, found a number, which moves`,
      ),
    ]),
  );
}

function proseOf(path: string, text: string): (readonly [number, string])[] {
  if (path.endsWith(".md")) return linesOf(text).map((line, at) => [at + 1, line]);
  return isSource(path) ? [...commentsOf(path, text)].map(({ at, text }) => [at, text]) : [];
}
