// SPDX-License-Identifier: Apache-2.0
/**
 * The commands and files that the pages show. Not proven here: what a command prints, and commands
 * of other programs.
 */
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parseAllDocuments } from "yaml";
import { helpText, verbs as ourVerbs } from "../../src/cli/arguments";
import { readFlags, readVerbs } from "../../tools/docs/host-script";
import { type Block, blocksOf, listPages, root, spansOf } from "./pages";

const pages = listPages();
const blocks = pages.flatMap(blocksOf);
const shell = blocks.filter(({ language }) => language === "sh");

interface Command {
  readonly at: string;
  readonly words: readonly string[];
}

/** The calls of a program in what the pages show, each up to its end. */
function commandsOf(start: RegExp, all: readonly Block[]): Command[] {
  return all.flatMap(({ at, text }) =>
    text
      .replaceAll("\\\n", " ")
      .split("\n")
      .flatMap((line) =>
        [...line.matchAll(start)].map((match) => {
          const rest = line.slice((match.index ?? 0) + match[0].length);
          const words = rest.split(/[|&;><)'"]| #/)[0] ?? "";
          return { at, words: words.split(/\s+/).filter(Boolean) };
        }),
      ),
  );
}

/** Flags of a command that no table has. */
function unknownFlags({ at, words }: Command, flags: ReadonlySet<string>): string[] {
  const given = words.filter((word) => /^--?[a-z]/.test(word)).map((word) => word.split("=")[0] ?? "");
  return given.filter((flag) => !flags.has(flag)).map((flag) => `${at}: ${words.join(" ")}: ${flag}`);
}

/** Spans that are a command, and not a text that holds its name. */
const spans = pages
  .flatMap(spansOf)
  .filter(({ text }) => /^(?:(?:sh|npx|npm|kubectl) .*|\S*socket-bypass )/.test(text));
const shown = [...blocks.filter(({ language }) => ["", "sh"].includes(language)), ...spans];

test("shell commands are whole", () => {
  expect(shell.length).toBeGreaterThan(15);
  const faults = shell.flatMap(({ at, text }) => {
    const { status, stderr } = spawnSync("sh", ["-n"], { input: text, encoding: "utf8" });
    return status === 0 ? [] : [`${at}: ${stderr.trim()}`];
  });
  expect(faults).toEqual([]);
});

test("verbs and flags of the host script exist", () => {
  const verbs = new Set(readVerbs(root).flatMap(({ name }) => [name, name.split(" ")[0] ?? ""]));
  const flags = new Set([...readFlags(root).map(({ name }) => `--${name}`), "-w"]);
  const script = /(?<!npx )(?:\bsocket-bypass|\bpod\.sh)(?= +[a-z]+(?: |$))/g;
  const commands = commandsOf(script, shown);
  expect(commands.length).toBeGreaterThan(50);
  // These are verbs of a pod alone.
  const ofPods = ["health", "stop"];
  const isVerb = (word: string) => verbs.has(word) || ofPods.includes(word);
  expect(commands.filter(({ words }) => !isVerb(words[0] ?? "")).map(({ at, words }) => `${at}: ${words[0]}`)).toEqual(
    [],
  );
  expect(commands.flatMap((command) => unknownFlags(command, flags))).toEqual([]);
});

test("verbs and flags of the operator's command exist", () => {
  const flags = new Set(helpText().match(/--?[a-z-]+/g));
  const commands = commandsOf(/\bnpx socket-bypass(?= +[a-z]+)/g, shown);
  expect(commands.length).toBeGreaterThan(8);
  const isVerb = (word: string) => word in ourVerbs || ["help", "version"].includes(word);
  expect(commands.filter(({ words }) => !isVerb(words[0] ?? "")).map(({ at, words }) => `${at}: ${words[0]}`)).toEqual(
    [],
  );
  expect(commands.flatMap((command) => unknownFlags(command, flags))).toEqual([]);
});

test("scripts of the package exist", () => {
  const { scripts } = JSON.parse(fs.readFileSync(join(root, "package.json"), "utf8")) as { scripts: object };
  const runs = commandsOf(/\bnpm run(?= +[a-z])/g, shown).map(({ at, words }) => ({
    at,
    name: words.find((word) => !word.startsWith("-")) ?? "",
  }));
  expect(runs.length).toBeGreaterThan(5);
  expect(runs.filter(({ name }) => !(name in scripts)).map(({ at, name }) => `${at}: ${name}`)).toEqual([]);
});

test("YAML and JSON are whole", () => {
  const data = blocks.filter(({ language, text }) => ["yaml", "json"].includes(language) && !text.includes("…"));
  expect(data.length).toBeGreaterThan(2);
  expect(data.flatMap((block) => faultsOf(block).map((fault) => `${block.at}: ${fault}`))).toEqual([]);
  const wrong = { at: "", info: "", language: "yaml", text: "a: [1" };
  expect([wrong, { ...wrong, language: "json" }].map((block) => faultsOf(block).length > 0)).toEqual([true, true]);
});

function faultsOf({ language, text }: Block): string[] {
  if (language === "yaml") return parseAllDocuments(text).flatMap((one) => one.errors.map(({ message }) => message));
  try {
    JSON.parse(text);
    return [];
  } catch (error) {
    return [`${error}`];
  }
}
