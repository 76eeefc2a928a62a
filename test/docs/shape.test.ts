// SPDX-License-Identifier: Apache-2.0
import { posix } from "node:path";
import { describe, expect, test } from "vitest";
import { listPages } from "./pages";

const pages = listPages();
const docs = pages.filter(({ path }) => path.startsWith("docs/"));

/** The lines that somebody reads one after the other: no tables, no blocks, nothing made by a
 ** program. */
function proseOf(text: string): string[] {
  const typed = text.replace(/^```.*?^```/gms, "").replace(/^<!-- (\w+) -->$.*?^<!-- end of \1 -->$/gms, "");
  return typed.split("\n").filter((line) => !line.startsWith("|"));
}

describe("the pages", () => {
  test("stand in folders by kind", () => {
    const kinds = ["tutorials", "how-to", "reference", "explanation", "contributing"];
    const roots = ["docs/README.md", "docs/_index.md", "docs/installation-configuration.md"];
    const others = docs.filter(({ path }) => !kinds.includes(path.split("/")[1] ?? "") && !roots.includes(path));
    expect(others.map(({ path }) => path)).toEqual([]);
  });

  test("are all named by docs/README.md", () => {
    const index = pages.find(({ path }) => path === "docs/README.md")?.text ?? "";
    const named = new Set([...index.matchAll(/\]\(([^)#\s]+)/g)].map(([, link = ""]) => posix.join("docs", link)));
    const missing = docs.map(({ path }) => path).filter((path) => !named.has(path) && path !== "docs/README.md");
    expect(missing).toEqual([]);
  });

  test("have at most 250 lines to read, unless a program made them", () => {
    const made = ["docs/reference/arguments.md", "docs/reference/outputs.md"];
    const long = docs.filter(({ path, text }) => !made.includes(path) && proseOf(text).length > 250);
    expect(long.map(({ path, text }) => `${path}: ${proseOf(text).length}`)).toEqual([]);
  });

  test("have short cells in the tables of what an application sees, and the prose below them", () => {
    const text = docs.find(({ path }) => path === "docs/reference/behaviour.md")?.text ?? "";
    const cells = text.match(/^\|.*\|$/gm)?.flatMap((row) => row.split("|").map((cell) => cell.trim())) ?? [];
    expect(cells.length).toBeGreaterThan(100);
    expect(cells.filter((cell) => cell.length > 120)).toEqual([]);
  });

  test("have one title each, at the top", () => {
    const titles = (text: string) => text.replace(/^```.*?^```/gms, "").match(/^# .+$/gm) ?? [];
    const ofRegistry = ["docs/_index.md", "docs/installation-configuration.md"];
    const wrong = docs.filter(({ path, text }) => titles(text).length !== (ofRegistry.includes(path) ? 0 : 1));
    expect(wrong.map(({ path }) => path)).toEqual([]);
  });
});

test("the README has at most 80 lines", () => {
  const readme = pages.find(({ path }) => path === "README.md")?.text ?? "";
  expect(readme.split("\n").length - 1).toBeGreaterThan(30);
  expect(readme.split("\n").length - 1).toBeLessThanOrEqual(80);
});

describe("the pages of the Registry", () => {
  test.each(["docs/_index.md", "docs/installation-configuration.md"])(
    "%s begins with what the Registry reads",
    (name) => {
      const text = pages.find(({ path }) => path === name)?.text ?? "";
      const head = /^---\n(.*?)\n---\n/s.exec(text)?.[1] ?? "";
      expect(head.split("\n").map((line) => line.split(":")[0])).toEqual(["title", "meta_desc", "layout"]);
      expect(head).toContain("layout: package");
    },
  );

  test("link to whole addresses, because they are shown elsewhere", () => {
    const ofRegistry = docs.filter(({ text }) => text.startsWith("---\n"));
    expect(ofRegistry).toHaveLength(2);
    const links = ofRegistry.flatMap(({ text }) => [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = ""]) => link));
    expect(links.length).toBeGreaterThan(5);
    expect(links.filter((link) => !link.startsWith("https://"))).toEqual([]);
  });
});
