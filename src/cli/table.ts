// SPDX-License-Identifier: Apache-2.0

/** Rows of text as columns; those whose heading begins with ">" are aligned to the right. */
export function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const right = headings.map((heading) => heading.startsWith(">"));
  const all = [headings.map((heading) => heading.replace(/^>/, "")), ...rows];
  const widths = headings.map((_, at) => all.reduce((most, row) => Math.max(most, row[at]?.length ?? 0), 0));
  const line = (row: readonly string[]) =>
    row
      .map((cell, at) => (right[at] ? cell.padStart(widths[at] ?? 0) : cell.padEnd(widths[at] ?? 0)))
      .join("  ")
      .trimEnd();
  return all.map(line).join("\n");
}

/** A number in at most five characters. */
export function short(value: number | null | undefined): string {
  if (value === null || value === undefined) return "?";
  let [rest, at] = [value, 0];
  for (; rest >= 9999.5 && at < 5; at++) rest /= 1000;
  const digits = (at > 0 || !Number.isInteger(rest)) && rest < 9.95 ? 1 : 0;
  return `${rest.toFixed(digits)}${" kMGTP"[at]?.trim()}`;
}
