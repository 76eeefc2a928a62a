// SPDX-License-Identifier: Apache-2.0
// Reads the tables of the host script, from which it parses its command line and prints its help.
import * as fs from "node:fs";
import { join } from "node:path";
import { table } from "./markdown";

export interface Verb {
  readonly kind: string;
  readonly name: string;
  readonly help: string;
}

export interface Flag {
  readonly name: string;
  readonly rule: string;
  readonly standard: string;
  readonly value: string;
  readonly help: string;
}

/** The rows of a table that a function of the script prints. */
export function rowsOf(root: string, part: string, name: string): string[][] {
  const text = fs.readFileSync(join(root, "host/script", part), "utf8");
  const body = new RegExp(`^${name}\\(\\) \\{\\n\\tcat <<'END'\\n([^]*?)\\nEND$`, "m").exec(text)?.[1];
  if (body === undefined) throw new Error(`host/script/${part}: expected a table ${name}, found none`);
  return body.split("\n").map((row) => row.split("|"));
}

export function readVerbs(root: string): readonly Verb[] {
  return rowsOf(root, "lib/tables.sh", "verb_table").map(([kind = "", name = "", help = ""]) => ({ kind, name, help }));
}

export function readFlags(root: string): readonly Flag[] {
  return rowsOf(root, "lib/tables.sh", "flag_table").map(
    ([name = "", rule = "", standard = "", value = "", help = ""]) => ({ name, rule, standard, value, help }),
  );
}

const kinds: readonly (readonly [kind: string, heading: string])[] = [
  ["report", "Reports: they change nothing that serves, and take no lock"],
  ["switch", "Switches: they change what serves"],
  ["create", "Steps of a stack"],
  ["delete", "What undoes steps"],
];

export function verbsText(verbs: readonly Verb[]): string {
  return kinds
    .map(([kind, heading]) => {
      let same = "";
      const rows = verbs
        .filter((verb) => verb.kind === kind)
        .map(({ name, help }) => {
          if (/so do(?:es)?:$/.test(help)) same = ` does the same as \`${name}\``;
          else if (same !== "") return [`\`${name}\``, `${help === "" ? "" : `${help}:`}${same}`.trim()];
          return [`\`${name}\``, help.replace(/[,;]? ?(?:in this order|so do(?:es)?):$/, "")];
        });
      return `**${heading}**\n\n${table(["verb", "what it does"], rows)}`;
    })
    .join("\n\n");
}

export function flagsText(flags: readonly Flag[]): string {
  const rows = flags.map(({ name, standard, value, help }) => [
    `\`--${name}${value === "" ? "" : ` ${value}`}\``,
    standard === "" ? "" : `\`${standard}\``,
    help.replace(/; or:$/, ""),
  ]);
  return table(["flag", "default", "meaning"], rows);
}
