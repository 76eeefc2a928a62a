// SPDX-License-Identifier: Apache-2.0
import { commentsOf, type Files, isSource, widthOf } from "./files";

export const MOST_COLUMNS = 100;

/** Checks that comments fit the columns. */
export function checkComments(files: Files): string[] {
  const sources = [...files].filter(([path]) => isSource(path));
  return sources.flatMap(([path, text]) =>
    wideComments(path, text).map((line) => `${path}:${line}: expected a comment of at most ${MOST_COLUMNS} columns`),
  );
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
