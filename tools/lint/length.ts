// SPDX-License-Identifier: Apache-2.0
import { type Files, isSource, linesOf } from "./files";

export const MOST_LINES = 250;

/** A longer source file must give its reason below its license: "Long: all cases of one table." */
export function checkLength(files: Files): string[] {
  return [...files].flatMap(([path, text]) => {
    const lines = linesOf(text);
    if (!isSource(path) || lines.length <= MOST_LINES) return [];
    const at = lines.findIndex((line) => line.includes("SPDX-License-Identifier")) + 1;
    if (at > 0 && /\bLong: \S/.test(lines[at] ?? "")) return [];
    return [`${path}: expected at most ${MOST_LINES} lines, or "Long: WHY" below its license, found ${lines.length}`];
  });
}
