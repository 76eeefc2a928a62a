// SPDX-License-Identifier: Apache-2.0
import { type Files, linesOf } from "./files";

export const MOST_COLUMNS = 120;

/** Checks that lines of pages fit the columns and that quotation marks are English. */
export function checkPages(files: Files): string[] {
  return [...files].flatMap(([path, text]) => {
    if (!path.endsWith(".md")) return [];
    return linesOf(typedIn(text)).flatMap((line, at) => [
      ...(isWide(line) ? [`${path}:${at + 1}: expected at most ${MOST_COLUMNS} columns`] : []),
      ...(/[«»]/.test(line) ? [`${path}:${at + 1}: expected English quotation marks, found guillemets`] : []),
    ]);
  });
}

/** Rows of tables and pictures cannot be broken, so they may be wide. */
function isWide(line: string): boolean {
  return line.length > MOST_COLUMNS && !/^(\||!\[)/.test(line);
}

/**
 * Removes code and what a program writes between two marks; it keeps the line breaks, so that line
 * numbers stay right.
 */
function typedIn(text: string): string {
  const blank = (part: string) => part.replace(/[^\n]/g, "");
  return text.replace(/^```.*?^```/gms, blank).replace(/^<!-- (\w+) -->$.*?^<!-- end of \1 -->$/gms, blank);
}
