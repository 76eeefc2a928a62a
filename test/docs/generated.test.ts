// SPDX-License-Identifier: Apache-2.0
/**
 * The pages of reference that tools/docs makes. Not proven here: that what a comment or a table of
 * the sources says is so; the tests of each part prove that.
 */
import * as fs from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { packageErrors, scriptErrors } from "../../tools/docs/error-texts";
import { gapsOf, oddIn } from "../../tools/docs/errors";
import { makePages } from "../../tools/docs/pages";
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
});
