// SPDX-License-Identifier: Apache-2.0
// Makes the page of errors from the texts in the sources and from fixes.ts.
import { areas, fixes } from "./fixes";
import { sentences, table } from "./markdown";
import type { ErrorText } from "./shell-texts";

interface Entry {
  readonly text: string;
  readonly fix: string | undefined;
}

export function errorsPage(errors: readonly ErrorText[]): string {
  const parts = areas.flatMap((area) => {
    const rows = entriesOf(errors.filter(({ path }) => area.sources.test(path))).map(({ text, fix }) => [
      codeOf(text),
      fix ?? area.fix ?? "",
    ]);
    return [`## ${area.heading}`, "", sentences(area.about), "", table(["it says", "what to do"], rows), ""];
  });
  return [
    "# Errors",
    "",
    "`npx tsx tools/docs/main.ts` makes this page from the sources.",
    "",
    "An error says what was expected, what was found and, after a semicolon, what to do.",
    "In the tables, `…` stands for the variable part of an error: a name, a path, or a message of another program.",
    "A line that begins with `note:` is a warning, after which the verb continues.",
    "",
    "This page does not list the errors of Pulumi, of its providers and of `ssh`.",
    "It does not list those of the helper (`probe: …`) either; the host script prints an error of its own after them.",
    "",
    ...parts,
  ]
    .join("\n")
    .trimEnd()
    .concat("\n");
}

/** Errors that have no area or no fix, fixes that have no error, and rows that help nobody. */
export function gapsOf(errors: readonly ErrorText[]): string[] {
  const texts = new Set(errors.map(({ text }) => text));
  const lacking = errors.flatMap(({ path, text }) => {
    const area = areas.find(({ sources }) => sources.test(path));
    if (area === undefined) return [`${path}: ${text}: expected an area for this file in tools/docs/fixes.ts`];
    const entry = entryOf(text);
    const fix = entry.fix ?? area.fix;
    if (fix === undefined) return [`${path}: ${text}: expected what to do, in the text or in tools/docs/fixes.ts`];
    return oddIn({ ...entry, fix }).map((fault) => `${path}: ${text}: ${fault}`);
  });
  const stale = Object.keys(fixes).filter((text) => !texts.has(text));
  return [...lacking, ...stale.map((text) => `tools/docs/fixes.ts: ${text}: expected an error with this text`)];
}

/** A reader finds an error by its words, and a question tells nobody what to do. */
export function oddIn({ text, fix }: Entry): string[] {
  const words = text.match(/[A-Za-z]+/g) ?? [];
  const own = words.filter((word) => !/^(expected|found|none|nothing|note|failed|kernel)$|^.{1,3}$/.test(word));
  return [
    ...(own.length === 0 ? ["expected words by which a reader finds it"] : []),
    ...(fix?.includes("?") ? ["expected what to do, found a question"] : []),
    ...(fix?.startsWith("…") ? ["expected what to do, found a gap"] : []),
  ];
}

function entriesOf(errors: readonly ErrorText[]): Entry[] {
  const entries = new Map(errors.map(({ text }) => [text, entryOf(text)]));
  return [...entries.values()].sort((a, b) => (plain(a.text) < plain(b.text) ? -1 : 1));
}

function entryOf(text: string): Entry {
  const fix = fixes[text];
  if (fix !== undefined) return { text, fix };
  // What was found belongs to the error.
  const at = text.indexOf("; ", text.indexOf("; found ") + 1);
  return at < 0 ? { text, fix: undefined } : { text: text.slice(0, at), fix: text.slice(at + 2) };
}

function plain(text: string): string {
  return text.replace(/^(?:note: )?…?[^a-z]*/, "");
}

function codeOf(text: string): string {
  return text.includes("`") ? `\`\` ${text} \`\`` : `\`${text}\``;
}
