// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { checkComments, wideComments } from "../../tools/lint/comments.js";
import { checkImports } from "../../tools/lint/imports.js";
import { checkLength } from "../../tools/lint/length.js";
import { anchorsOf, checkLinks } from "../../tools/lint/links.js";
import { checkNames } from "../../tools/lint/names.js";
import { checkPages } from "../../tools/lint/pages.js";
import { callsOf, checkParts } from "../../tools/lint/parts.js";

// These tests do not prove that the repository keeps the rules; `npm run lint` does.
const files = (all: Record<string, string>) => new Map(Object.entries(all));
const license = "// SPDX-License-Identifier: Apache-2.0\n";
const wide = `// ${"a word ".repeat(20)}\n`;

describe("length", () => {
  const long = "x\n".repeat(250);

  test.each([
    [{ "a.ts": `${license}${long}` }, 1],
    [{ "a.ts": long }, 0],
    [{ "a.ts": `${license}// Long: one table.\n${long}` }, 0],
    [{ "a.sh": `#!/bin/sh\n# SPDX-License-Identifier: Apache-2.0\n# Long: one table.\n${long}` }, 0],
    [{ "a.ts": `${license}// Long: \n${long}` }, 1],
    [{ "a.ts": `${license}\n// Long: too late\n${long}` }, 1],
    [{ "a.md": `${long}${long}`, "a.json": `${long}${long}` }, 0],
  ])("case %# has the right number of faults", (all, count) => {
    expect(checkLength(files(all))).toHaveLength(count);
  });
});

describe("comments", () => {
  test("wider than 100 columns are found in every kind of source, with tabs eight columns wide", () => {
    expect(wideComments("a.ts", `${license}${wide}`)).toEqual([2]);
    expect(wideComments("a.ts", `const a = 1; ${wide}`)).toEqual([1]);
    expect(wideComments("a.c", `/*\n * ${"a word ".repeat(20)}\n */\nint a;\n`)).toEqual([2]);
    expect(wideComments("a.sh", `# ${"a word ".repeat(20)}\n`)).toEqual([1]);
    const tabs = "\t".repeat(6);
    expect(wideComments("a.c", `${tabs}/* ${"a word ".repeat(6)}*/\n`)).toEqual([]);
    expect(wideComments("a.c", `${tabs}/* ${"a word ".repeat(7)}*/\n`)).toEqual([1]);
  });

  test("that cannot be broken are ignored, and so is wide code", () => {
    expect(wideComments("a.ts", `const a = "${"a word ".repeat(20)}";\n`)).toEqual([]);
    expect(wideComments("a.sh", `echo "${"a word ".repeat(20)}"\n`)).toEqual([]);
    expect(wideComments("a.ts", `// https://example.com/${"a".repeat(100)}\n`)).toEqual([]);
  });

  test("are told by file and line", () => {
    expect(checkComments(files({ "a.ts": wide }))).toEqual(["a.ts:1: expected a comment of at most 100 columns"]);
  });
});

describe("imports", () => {
  test.each([
    ["src/args/a.ts", "../bundle/b", false],
    ["src/args/a.ts", "./validation/b", true],
    ["src/args/validation/a.ts", "../b", true],
    ["src/bundle/a.ts", "../commands/b", false],
    ["src/commands/a.ts", "../bundle/b", true],
    ["src/targets/kubernetes/a.ts", "../../install/b", false],
    ["src/install/a.ts", "../components/b", false],
    ["src/components/a.ts", "../install/b", true],
    ["src/index.ts", "./components/b", true],
    ["src/args/a.ts", "../../tools/b", false],
    ["host/build/a.mjs", "../../test/b", false],
    ["test/a.ts", "../src/args/b", true],
    ["tools/a.ts", "../test/b", true],
  ])("%s may import %s: %s", (path, specifier, isRight) => {
    const faults = checkImports(files({ [path]: `import { b } from "${specifier}";\n` }));
    expect(faults).toHaveLength(isRight ? 0 : 1);
  });

  test.each([
    [
      { "a.ts": "./b", "b.ts": "./c", "c.ts": "./a.js" },
      "c.ts: expected no circle of imports, found a.ts -> b.ts -> c.ts -> a.ts",
    ],
    [
      { "a/index.ts": "./b", "a/b.ts": "../a" },
      "a/b.ts: expected no circle of imports, found a/index.ts -> a/b.ts -> a/index.ts",
    ],
    [{ "a.ts": "./b", "b.ts": "./c", "c.ts": "./d", "d.ts": "./none" }, undefined],
  ])("case %# has a circle or none", (all, circle) => {
    const sources = Object.entries(all).map(([path, specifier]) => [path, `import type { A } from "${specifier}";\n`]);
    expect(checkImports(files(Object.fromEntries(sources)))).toEqual(
      circle === undefined ? [] : [expect.stringContaining(circle)],
    );
  });
});

describe("links and names", () => {
  const pages = { "docs/a.md": "# One\n## Two `words`, and more\n## One\n", "src/a.ts": "" };

  test.each([
    ["[a](a.md)", true],
    ["[a](a.md#one-1)", true],
    ["[a](#two-words-and-more)", false],
    ["[a](a.md#two-words-and-more)", true],
    ["[a](a.md#three)", false],
    ["[a](b.md)", false],
    ["[a](../src/)", true],
    ["[a](https://example.com)", true],
    ["`[a](b.md)`", true],
  ])("the link %s resolves: %s", (text, isRight) => {
    expect(checkLinks(files({ ...pages, "docs/page.md": text }))).toHaveLength(isRight ? 0 : 1);
  });

  test("headings get the anchors that GitHub gives them", () => {
    expect([...anchorsOf("# A b\n## A b\n### `c()` - d\n```\n# none\n```\n")]).toEqual(["a-b", "a-b-1", "c---d"]);
  });

  test.each([
    ["src/b.ts", `${license}// See src/a.ts.\n`, true],
    ["src/b.ts", `${license}// See src/a, and docs/a.\n`, true],
    ["src/b.ts", `${license}// See src/gone.ts.\n`, false],
    ["src/b.ts", `${license}const a = "src/gone.ts";\n`, true],
    ["README.md", "The folder `src/gone/` has it.\n", false],
    ["src/b.c", "/*\n * As in src/gone.c.\n */\n", false],
    ["src/b.ts", `${license}// See section 3.\n`, false],
  ])("all that %s names in %j exists: %s", (path, text, isRight) => {
    expect(checkNames(files({ ...pages, [path]: text }))).toHaveLength(isRight ? 0 : 1);
  });
});

describe("parts of the host script", () => {
  const parts = "# The order.\nlib/a\nlib/b pods no\nlib/c\nverbs/d-e\n";
  const right = {
    "host/script/parts.txt": parts,
    "host/script/main.sh": "main() { cmd_d_e; }\n",
    "host/script/lib/a.sh": "one() { :; }\n",
    "host/script/lib/b.sh": "two() { one; }\n",
    "host/script/lib/c.sh": "three() { one; }\n",
    "host/script/verbs/d-e.sh": "cmd_d_e() { three; }\n",
  };

  test.each([
    ["nothing if they are right", {}, []],
    [
      "a call of a later part",
      { "host/script/lib/a.sh": "one() {\n\t[ -e x ] || three\n}\n" },
      ["host/script/lib/a.sh: three: expected calls of earlier parts, found one of lib/c"],
    ],
    [
      "a verb without its function",
      { "host/script/verbs/d-e.sh": "other() { :; }\n" },
      ["host/script/verbs/d-e.sh: expected cmd_d_e, found none"],
    ],
    [
      "a part that is not listed",
      { "host/script/lib/x.sh": "" },
      ["host/script/lib/x.sh: expected it in host/script/parts.txt, found nothing"],
    ],
    [
      "a function twice",
      { "host/script/lib/c.sh": "one() { :; }\nthree() { one; }\n" },
      ["host/script/lib/c.sh: one: is in lib/a too"],
    ],
  ])("reports %s", (_, more, faults) => {
    expect(checkParts(files({ ...right, ...more }))).toEqual(faults);
  });

  test("a call is a word where a command may stand, but not in awk, a comment or a case pattern", () => {
    const text = `
# five
all() {
	one && two "$(three)" | four
	awk '{ five() }'
	case $x in
	six | seven) eight ;;
	esac
	undo_with nine
	cleanup="ten; $cleanup"
	if ! eleven; then say twelve; fi
}
`;
    const found = callsOf(text);
    for (const name of ["one", "two", "three", "four", "eight", "nine", "ten", "eleven"]) expect(found).toContain(name);
    for (const name of ["five", "six", "seven", "twelve"]) expect(found).not.toContain(name);
  });
});

describe("pages", () => {
  const words = "a word ".repeat(20);

  test("a wide line is reported with its number, except in tables, code and generated text", () => {
    const text = [`| ${words} |`, "```", words, "```", "<!-- cells -->", words, "<!-- end of cells -->", words];
    expect(checkPages(files({ "docs/a.md": text.join("\n"), "a.ts": words }))).toEqual([
      "docs/a.md:8: expected at most 120 columns",
    ]);
  });

  test("guillemets are reported", () => {
    expect(checkPages(files({ "a.md": "He says «yes».\n" }))).toEqual([
      "a.md:1: expected English quotation marks, found guillemets",
    ]);
  });
});
