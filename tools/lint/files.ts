// SPDX-License-Identifier: Apache-2.0

/** The text of each file by its path in the repository. */
export type Files = ReadonlyMap<string, string>;

export function isSource(path: string): boolean {
  return /\.(ts|mts|mjs|sh|c|h|py|go)$/.test(path);
}

/** The lines of a file, which should end in a line feed. */
export function linesOf(text: string): string[] {
  return text.replace(/\n$/, "").split("\n");
}

/** The width in columns, as an editor shows the line: tabs are eight wide. */
export function widthOf(line: string): number {
  let width = 0;
  for (const character of line) width += character === "\t" ? 8 - (width % 8) : 1;
  return width;
}

export interface Comment {
  /** The line number, from 1. */
  readonly at: number;
  readonly text: string;
  /** The whole line, with the code before the comment. */
  readonly line: string;
}

/**
 * The comments of a source, line by line, as far as one can tell without knowing the language: text
 * in quotes may be taken for a comment.
 */
export function* commentsOf(path: string, source: string): Generator<Comment> {
  const isHash = /\.(sh|py)$/.test(path);
  const mark = isHash ? /(^|\s)#(?=[ !]|$)/ : /(^|\s)(\/\/|\/\*)/;
  let isInside = false;
  for (const [index, line] of linesOf(source).entries()) {
    const found: RegExpExecArray | null | undefined = isInside ? undefined : mark.exec(line);
    if (found === null) continue;
    const text = line.slice(found?.index ?? 0);
    if (isInside) isInside = !line.includes("*/");
    else if (!isHash) isInside = found?.[2] === "/*" && !text.includes("*/");
    yield { at: index + 1, text, line };
  }
}
