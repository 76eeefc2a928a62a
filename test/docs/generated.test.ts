// SPDX-License-Identifier: Apache-2.0
/**
 * The pages of reference that tools/docs makes. Not proven here: that what a comment or a table of
 * the sources says is so; the tests of each part prove that.
 */
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { packageErrors } from "../../tools/docs/error-texts";
import { gapsOf, oddIn } from "../../tools/docs/errors";
import { makePages } from "../../tools/docs/pages";
import { scriptErrors } from "../../tools/docs/shell-texts";
import { commentsOf, linesOf } from "../../tools/lint/files";
import { root } from "./pages";

let pages: ReadonlyMap<string, string>;

beforeAll(async () => {
  pages = await makePages(root);
});

test("each page is what `npx tsx tools/docs/main.ts` makes of the sources", () => {
  expect(pages.size).toBeGreaterThan(5);
  const stale = [...pages].filter(([path, text]) => fs.readFileSync(join(root, path), "utf8") !== text);
  expect(stale.map(([path]) => path)).toEqual([]);
});

test("each property of the arguments has a text, and most say what is expected of them", () => {
  const text = pages.get("docs/reference/arguments.md") ?? "";
  const properties = text.split(/^- \*\*`/m).slice(1);
  expect(properties.length).toBeGreaterThan(60);
  expect(properties.filter((one) => !/\n\n {2}[A-Z"`]/.test(one)).map((one) => one.split("`")[0])).toEqual([]);
  const refused = properties.filter((one) => one.includes("*Expected*"));
  expect(refused.length).toBeGreaterThan(properties.length / 2);
});

test("each argument that may be left out says what holds then, and each number what it counts and its bounds", () => {
  const properties = (pages.get("docs/reference/arguments.md") ?? "").split(/^- \*\*`/m).slice(1);
  const headOf = (one: string) => one.split("\n")[0] ?? "";
  const optional = properties.filter((one) => !headOf(one).includes(", required"));
  expect(optional.length).toBeGreaterThan(60);
  const lacking = optional.filter((one) => !/\bdefault\b/i.test(one.split("*Expected*")[0] ?? ""));
  expect(lacking.map(headOf)).toEqual([]);
  const numbers = properties.filter((one) => headOf(one).includes("`**: number"));
  expect(numbers.length).toBeGreaterThan(10);
  const unbounded = numbers.filter(
    (one) => !/\*Expected\*: a (?:\w+ )*?(?:number of \w+|port) from -?\d+ to \d+/.test(one),
  );
  expect(unbounded.map(headOf)).toEqual([]);
});

test("each output has a text", () => {
  const text = pages.get("docs/reference/outputs.md") ?? "";
  const properties = text.split(/^- \*\*`/m).slice(1);
  expect(properties.length).toBeGreaterThan(30);
  expect(properties.filter((one) => !/\n\n {2}[A-Z"`]/.test(one)).map((one) => one.split("`")[0])).toEqual([]);
});

describe("the page of errors", () => {
  const errors = [...scriptErrors(root), ...packageErrors(root)];

  test("says of each error what to do, and has no fix for an error that is gone", () => {
    expect(errors.length).toBeGreaterThan(150);
    expect(gapsOf(errors)).toEqual([]);
  });

  test.each([
    [{ text: "…: expected to write it, found: …", fix: "is the disk full?" }, "a question"],
    [{ text: "…: expected it, found none", fix: "it is sent with adopt" }, "words"],
    [{ text: "kernel …: …", fix: "update it" }, "words"],
    [{ text: "drift: not looked at, because the host …", fix: "…" }, "a gap"],
  ])("refuses the row %j", (row, fault) => {
    expect(oddIn(row)).toEqual([expect.stringContaining(fault)]);
    expect(oddIn({ text: "bpffs: expected one at /sys/fs/bpf, found none", fix: "mount one" })).toEqual([]);
  });

  test.each([
    ["host/script", "selftest: expected every case to pass, found… failed (exit …): …; nothing was attached to …"],
    ["host/script", "bpftool: expected 5.8 or newer, found … without…; install a newer one"],
    ["host/script", "kernel …: expected …, found one before …; …"],
    ["host/script", 'policy: expected a port (1 to 65535) or a range such as 8000-8999, found "…"'],
    ["host/pod", "image: expected bpftool in it, found none; image/Dockerfile has it"],
    ["bpf", "expected … 14 or newer on PATH, found none; install clang and llvm"],
    ["src", "…: expected root to own it and nobody else to write to it, found …"],
    ["src", "refuses this user with this key, password or agent"],
    ["src", "socket-bypass: …: expected the files of the bundle, found none; run `npm run build`"],
    ["src", "socket-bypass: reading the state of this stack failed: …; run it again"],
    [
      "src",
      "has another host key than the declared one: it was installed anew, or somebody intercepts the connection; correct hostKey only when you know which",
    ],
  ])("is made from the texts of %s, such as %s", (folder, text) => {
    const texts = errors.filter(({ path }) => path.startsWith(folder)).map((error) => error.text);
    expect(texts).toContain(text);
  });

  // By lines, so that a way of printing that the collectors do not know is found too.
  test("has each text of the sources that says what was expected", () => {
    const page = (pages.get("docs/reference/errors.md") ?? "").replace(/\s+/g, " ");
    const said = sourcesOfErrors().flatMap((path) => expectationsIn(path).map((words) => [path, words] as const));
    const folders = new Set(said.map(([path]) => path.split("/").slice(0, 2).join("/")));
    const places = ["host/pod", "host/script", "src/bundle", "src/cli", "src/commands", "src/install"];
    expect([...folders].sort()).toEqual([...places, "src/plugin.ts", "src/targets"]);
    expect(said.length).toBeGreaterThan(120);
    expect(said.filter(([, words]) => !page.includes(words))).toEqual([]);
  });
});

/** Arguments have a page of their own, and nobody but a developer sees the errors of host/build. */
function sourcesOfErrors(): string[] {
  const paths = execFileSync("git", ["ls-files", "src", "host", "bpf"], { cwd: root, encoding: "utf8" }).split("\n");
  return paths.filter((path) => /\.(ts|sh)$/.test(path) && !/^(src\/args|host\/build)\//.test(path));
}

/** From "expected" up to what the source puts in, in lines of code. */
function expectationsIn(path: string): string[] {
  const text = fs.readFileSync(join(root, path), "utf8");
  const comments = new Map([...commentsOf(path, text)].map(({ at, text }) => [at, text]));
  return linesOf(text).flatMap((line, index) => {
    const code = line.slice(0, line.length - (comments.get(index + 1)?.length ?? 0));
    const runs = code.match(/\bexpected [^$"'`=\\;(]+/g) ?? [];
    return runs.map((run) => run.trim()).filter((run) => run.length >= "expected a number".length);
  });
}
