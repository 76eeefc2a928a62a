// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { findBase, findTouched, listChanged, touched } from "../../tools/setup/changed.js";
import { stages } from "../../tools/setup/run-tests.js";
import config from "../../vitest.config.js";
import { root, temporaryFolder } from "./ensure.js";

// These tests prove that no folder is forgotten, but not that a row names everything that the
// folder can affect.
const tracked = execFileSync("git", ["ls-files", "-z"], { cwd: root, encoding: "utf8" }).split("\0").filter(Boolean);

describe("the tests that a change can affect", () => {
  test.each([
    [
      "bpf/track.bpf.c",
      ["bpf", "e2e/apps", "e2e/kubernetes", "e2e/local", "e2e/ssh", "host/pod", "host/script", "src/bundle"],
    ],
    ["host/pod/pod.sh", ["docs", "e2e/kubernetes", "host/pod", "src/bundle"]],
    [
      "src/args/host.ts",
      ["docs", "e2e/kubernetes", "e2e/languages", "e2e/local", "e2e/ssh", "examples", "package", "src"],
    ],
    ["examples/ssh-fleet/index.ts", ["docs", "e2e/ssh/large-fleet.test.ts", "examples", "package/tarball.test.ts"]],
    ["test/e2e/languages/yaml/Pulumi.yaml", ["docs", "e2e/languages"]],
    ["test/bpf/cases/order.py", ["bpf", "e2e/apps"]],
    ["test/e2e/ssh/far.sh", ["e2e/ssh"]],
    ["test/host/script/flows.py", ["host/script"]],
    ["test/support/host.ts", []], // vitest knows who imports it
    ["docs/explanation/limits.md", ["docs", "package/tarball.test.ts"]],
    ["docs/_index.md", ["docs", "e2e/languages", "package/tarball.test.ts"]],
    ["monitoring/rules.yaml", ["monitoring"]],
    ["package-lock.json", "all"],
    ["vitest.config.ts", "all"],
    ["test/support/sweep.ts", "all"],
    ["a-new-folder/file", "all"],
  ])("a change of %s affects %s", (path, parts) => {
    expect(findTouched([path])).toEqual(parts);
  });

  test("several paths affect what any of them affects", () => {
    expect(findTouched(["docs/explanation/limits.md", "test/e2e/ssh/far.sh", "image/Dockerfile"])).toEqual([
      "docs",
      "e2e/kubernetes",
      "e2e/ssh",
      "package/tarball.test.ts",
      "tools/workflows.test.ts",
    ]);
    expect(findTouched([])).toEqual([]);
  });

  test("each row matches a file and names tests that exist", () => {
    for (const [begin, parts] of touched) {
      expect({ begin, isThere: tracked.some((path) => path.startsWith(begin)) }).toEqual({ begin, isThere: true });
      for (const part of parts)
        expect({ part, isThere: existsSync(join(root, "test", part)) }).toEqual({ part, isThere: true });
    }
  });

  test("only files that everything depends on affect all tests", () => {
    expect(tracked.filter((path) => findTouched([path]) === "all")).toEqual([
      ...[
        "package-lock.json",
        "package.json",
        "test/support/sweep.ts",
        "tsconfig.check.json",
        "tsconfig.json",
        "vitest.config.ts",
      ],
    ]);
  });
});

test("the changes since a base are commits, uncommitted changes, new files and removed files", () => {
  const folder = temporaryFolder();
  const git = (...words: string[]) =>
    execFileSync("git", ["-c", "user.name=a", "-c", "user.email=a@b", ...words], { cwd: folder, stdio: "pipe" });
  const write = (path: string, text: string) => {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  };
  git("init", "--quiet", "--initial-branch=main");
  for (const path of ["kept", "docs/edited", "docs/gone", ".gitignore"])
    write(path, path === ".gitignore" ? "ignored\n" : "old");
  git("add", ".");
  git("commit", "--quiet", "-m", "one");
  expect(findBase(folder)).toMatch(/^[0-9a-f]{40}$/);
  git("checkout", "--quiet", "-b", "work");
  write("committed", "new");
  git("rm", "--quiet", "docs/gone");
  git("add", ".");
  git("commit", "--quiet", "-m", "two");
  write("docs/edited", "new");
  write("a new\nfile", "new");
  write("ignored", "new");
  expect(listChanged(findBase(folder), folder)).toEqual(["a new\nfile", "committed", "docs/edited", "docs/gone"]);
  expect(listChanged("HEAD", folder)).toEqual(["a new\nfile", "docs/edited"]);
});

test("a full run includes every project except the virtual machines', and every test file is in a project", () => {
  const projects = config.test?.projects?.map((project) => (project as { test: { name: string } }).test.name);
  const run = stages.flat().flatMap(({ options }) => options.filter((option) => option !== "--project"));
  expect([...run, "vm"].sort()).toEqual([...(projects ?? [])].sort());
  const files = execFileSync(join(root, "node_modules/.bin/vitest"), ["list", "--filesOnly", "--json"], {
    cwd: root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  const listed: { file: string }[] = JSON.parse(files);
  const there = readdirSync(join(root, "test"), { recursive: true, encoding: "utf8" }).filter((name) =>
    name.endsWith(".test.ts"),
  );
  expect(listed.map(({ file }) => file.slice(`${root}/test/`.length)).sort()).toEqual(there.sort());
});
