// SPDX-License-Identifier: Apache-2.0
import { commentsOf, type Files, isSource, widthOf } from "./files";

export const MOST_COLUMNS = 100;

/**
 * Checks that comments fit the columns. `known` lists the files with wider comments and how many
 * each has; nothing may be added to it.
 */
export function checkComments(files: Files, known: Readonly<Record<string, number>>): string[] {
  const faults: string[] = [];
  for (const path of Object.keys(known))
    if (!files.has(path)) faults.push(`${path}: is in tools/lint/known.ts and not here`);
  for (const [path, text] of files) {
    if (!isSource(path)) continue;
    const wide = wideComments(path, text);
    const most = known[path] ?? 0;
    if (wide.length < most)
      faults.push(`${path}: ${wide.length} wide comments are left: write that into tools/lint/known.ts`);
    if (wide.length > most)
      faults.push(...wide.map((line) => `${path}:${line}: expected a comment of at most ${MOST_COLUMNS} columns`));
  }
  return faults;
}

/**
 * The line numbers of wide comments. A comment may be wider if it holds a single word that cannot
 * be broken, such as an address.
 */
export function wideComments(path: string, source: string): number[] {
  return [...commentsOf(path, source)].flatMap(({ at, text, line }) => {
    const isBreakable = /\S\s+\S{1,60}\s+\S/.test(text);
    return widthOf(line) > MOST_COLUMNS && isBreakable ? [at] : [];
  });
}
