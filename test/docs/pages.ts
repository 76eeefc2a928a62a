// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { join, resolve } from "node:path";

export const root = resolve(__dirname, "../..");

export interface Page {
  readonly path: string;
  readonly text: string;
}

export interface Block {
  /** The page and the line of its first line. */
  readonly at: string;
  /** The first word behind the fence, "" for none. */
  readonly language: string;
  /** What else stands behind the fence. */
  readonly info: string;
  readonly text: string;
}

/** All pages of the repository. */
export function listPages(): readonly Page[] {
  const words = ["ls-files", "--cached", "--others", "--exclude-standard", "*.md"];
  const paths = execFileSync("git", words, { cwd: root, encoding: "utf8" }).split("\n").filter(Boolean);
  return [...new Set(paths)]
    .filter((path) => fs.existsSync(join(root, path)))
    .map((path) => ({ path, text: fs.readFileSync(join(root, path), "utf8") }));
}

/** The fenced blocks of a page, also those in lists. */
export function blocksOf({ path, text }: Page): readonly Block[] {
  const blocks: Block[] = [];
  const lines = text.split("\n");
  for (let at = 0; at < lines.length; at++) {
    const [, indent = "", language = "", info = ""] = /^( *)```(\S*) *(.*)$/.exec(lines[at] ?? "") ?? [];
    if (!/^ *```/.test(lines[at] ?? "")) continue;
    const start = at + 1;
    const end = lines.findIndex((line, index) => index >= start && line === `${indent}\`\`\``);
    if (end < 0) throw new Error(`${path}:${start}: expected the end of a block, found none`);
    const body = lines.slice(start, end).map((line) => line.slice(indent.length));
    blocks.push({ at: `${path}:${start + 1}`, language, info, text: body.join("\n") });
    at = end;
  }
  return blocks;
}

/** What stands between single backquotes outside blocks. */
export function spansOf({ path, text }: Page): readonly Block[] {
  const prose = text.replace(/^ *```.*?^ *```$/gms, (block) => block.replace(/[^\n]/g, ""));
  return prose.split("\n").flatMap((line, at) =>
    [...line.matchAll(/(?<!`)`([^`]+)`(?!`)/g)].map(([, span = ""]) => {
      return { at: `${path}:${at + 1}`, language: "", info: "", text: span };
    }),
  );
}
