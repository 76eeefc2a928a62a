// SPDX-License-Identifier: Apache-2.0
import { type Files, linesOf } from "./files";

export const MOST_COLUMNS = 120;

/** Lines of pages fit the columns, and quotation marks are those of English. */
export function checkPages(files: Files): string[] {
  return [...files].flatMap(([path, text]) => {
    if (!path.endsWith(".md")) return [];
    return linesOf(typedIn(text)).flatMap((line, at) => [
      ...(isWide(line) ? [`${path}:${at + 1}: expected at most ${MOST_COLUMNS} columns`] : []),
      ...(/[«»]/.test(line) ? [`${path}:${at + 1}: expected English quotation marks, found guillemets`] : []),
    ]);
  });
}

/** A row of a table and a picture cannot be broken. */
function isWide(line: string): boolean {
  return line.length > MOST_COLUMNS && !/^(\||!\[)/.test(line);
}

/** Without code and what a program writes between two marks; as many lines, for their numbers. */
function typedIn(text: string): string {
  const blank = (part: string) => part.replace(/[^\n]/g, "");
  return text.replace(/^```.*?^```/gms, blank).replace(/^<!-- (\w+) -->$.*?^<!-- end of \1 -->$/gms, blank);
}
