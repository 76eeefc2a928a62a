// SPDX-License-Identifier: Apache-2.0
// How generated pages write Markdown.

const MOST_COLUMNS = 120;

/** Puts each sentence on a line of its own, and breaks what is too wide. */
export function sentences(text: string, indent = ""): string {
  return text
    .replace(/\s+/g, " ")
    .trim()
    .split(/(?<=[.!?])\s(?=[A-Z"`0-9[])/)
    .flatMap((sentence) => wrap(sentence, MOST_COLUMNS - indent.length))
    .map((line) => `${indent}${line}`)
    .join("\n");
}

function wrap(sentence: string, columns: number): string[] {
  const lines: string[] = [];
  let rest = sentence;
  while (rest.length > columns) {
    const at = breakOf(rest, columns);
    lines.push(rest.slice(0, at).trimEnd());
    rest = rest.slice(at).trimStart();
  }
  return [...lines, rest];
}

/** Where to break a line: after punctuation if there is some in its second half. */
function breakOf(text: string, columns: number): number {
  const start = text.slice(0, columns + 1);
  const after = Math.max(...[", ", "; ", ": "].map((mark) => start.lastIndexOf(mark) + 1));
  return after > columns / 2 ? after : start.lastIndexOf(" ");
}

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), `|${"---|".repeat(head.length)}`, ...rows.map(line)].join("\n");
}

/** Replaces the text of a page between `<!-- NAME -->` and `<!-- end of NAME -->`. */
export function withSection(page: string, name: string, text: string): string {
  const [start, end] = [`<!-- ${name} -->\n`, `<!-- end of ${name} -->`];
  const [before, rest] = page.split(start);
  const after = rest?.split(end)[1];
  if (before === undefined || after === undefined) throw new Error(`docs: expected a section ${name}, found none`);
  return `${before}${start}\n${text.trim()}\n\n${end}${after}`;
}

/** The text of a section that `withSection` has written. */
export function sectionOf(page: string, name: string): string {
  return page.split(`<!-- ${name} -->\n`)[1]?.split(`<!-- end of ${name} -->`)[0]?.trim() ?? "";
}
