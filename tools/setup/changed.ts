// SPDX-License-Identifier: Apache-2.0
/*
 * Finds the tests that a change can affect: `npm test -- --changed [BASE]`. It looks up, by folder,
 * the files that differ from BASE (default: where this branch left main), are not committed or are
 * new. For TypeScript, vitest knows which test files import what. A file that matches no row
 * affects every test.
 */
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";

/** Folders of test/ whose tests send bytes through what a host receives. */
const onHosts = ["bpf", "host/script", "e2e/apps", "e2e/local", "e2e/ssh", "host/pod", "e2e/kubernetes"];
/** Folders of test/ that run the real engine. */
const withEngine = ["e2e/local", "e2e/ssh", "e2e/kubernetes", "e2e/languages", "examples"];

/**
 * For the first row with which a path begins: the folders and files of test/ that a change of the
 * path can affect, besides those that import it.
 */
export const touched: readonly (readonly [string, readonly string[]])[] = [
  ["bpf/build.sh", [...onHosts, "src/bundle", "docs"]],
  ["bpf/", [...onHosts, "src/bundle"]],
  ["host/pod/", ["host/pod", "e2e/kubernetes", "src/bundle", "docs"]],
  ["host/helper/", [...onHosts, "host/helper", "src/bundle"]],
  ["host/build/", [...onHosts, "host/helper", "src/bundle", "tools/zig.test.ts", "package/tarball.test.ts"]],
  ["host/script/", [...onHosts, "src/bundle", "docs"]],
  ["host/", [...onHosts, "src/bundle"]],
  ["image/", ["e2e/kubernetes", "tools/workflows.test.ts"]],
  ["src/", ["src", "package", "docs", ...withEngine]],
  ["PulumiPlugin.yaml", ["package", ...withEngine]],
  ["tools/pulumi/", ["tools", "docs", ...withEngine]],
  ["examples/", ["examples", "docs", "e2e/ssh/large-fleet.test.ts", "package/tarball.test.ts"]],
  ["tools/setup/isolate.sh", ["host/script"]],
  ["tools/setup/", ["tools"]],
  ["tools/docs/", ["docs"]],
  ["tools/schema/", ["src/schema"]],
  ["schema.json", ["src/schema", "package", "e2e/languages", "docs"]],
  ["tools/monitoring/", ["monitoring"]],
  ["tools/release/", ["package/release.test.ts"]],
  ["tools/workflows/", ["tools/workflows.test.ts"]],
  [".github/", ["tools/workflows.test.ts", "docs"]],
  ["monitoring/", ["monitoring"]],
  // Only lint, types, and the tests that import them check these.
  ["tools/bench/", []],
  ["tools/demo/", []],
  ["tools/lint/", []],
  ["docs/_index.md", ["docs", "e2e/languages", "package/tarball.test.ts"]],
  ["docs/", ["docs", "package/tarball.test.ts"]],
  [".", []],
  ["README.md", ["docs", "package/tarball.test.ts"]],
  ["CHANGELOG.md", ["docs", "package/release.test.ts"]],
  ["CODE_OF_CONDUCT.md", ["docs"]],
  ["CONTRIBUTING.md", ["docs", "package/tarball.test.ts"]],
  ["SECURITY.md", ["docs", "package/tarball.test.ts"]],
  ["LICENSE", ["package/tarball.test.ts"]],
  ["NOTICE", ["package/tarball.test.ts"]],
  ["renovate.json", []],
  ["biome.json", []],
  ["Pulumi.yaml", []],
  ["test/bpf/soak/main.ts", []],
  ["test/e2e/vm/", []],
  // Files that tests run but do not import. Any other file in a folder of test/ affects the tests
  // of that folder.
  ["test/bpf/", ["bpf", "e2e/apps"]],
  ["test/e2e/languages/", ["e2e/languages", "docs"]],
];

/** This file runs before and after every test file. */
const setUp = "test/support/sweep.ts";

/** The parts of test/ to run for these paths, or all. */
export function findTouched(paths: readonly string[]): readonly string[] | "all" {
  const found = new Set<string>();
  for (const path of paths) {
    if (path === setUp) return "all";
    if (/^test\/.+\/.*\.ts$/.test(path)) continue; // vitest knows who imports it
    const row = touched.find(([begin]) => path.startsWith(begin));
    const own = /^test\/((?:(?:e2e|host)\/)?[^/]+)\//.exec(path)?.[1];
    if (row === undefined && own === undefined) return "all";
    for (const part of row?.[1] ?? [`${own}`]) found.add(part);
  }
  return [...found].sort();
}

/** Paths that differ from `base`, are not committed, or are new. */
export function listChanged(base: string, folder: string): string[] {
  const git = (...words: string[]) =>
    execFileSync("git", words, { cwd: folder, encoding: "utf8" }).split("\0").filter(Boolean);
  const differing = git("diff", "--name-only", "--no-renames", "-z", base);
  return [...new Set([...differing, ...git("ls-files", "--others", "--exclude-standard", "-z")])].sort();
}

/** The commit where this branch left main, or else HEAD. */
export function findBase(folder: string): string {
  for (const name of ["origin/HEAD", "origin/main", "main"]) {
    try {
      const words = ["merge-base", "HEAD", name];
      return execFileSync("git", words, { cwd: folder, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
    } catch {
      // That branch does not exist.
    }
  }
  return "HEAD";
}

/** The test files that a change since `base` can affect, or all. */
export function listTests(base: string, folder: string): readonly string[] | "all" {
  const parts = findTouched(listChanged(base, folder));
  if (parts === "all") return parts;
  const vitest = join(folder, "node_modules/.bin/vitest");
  const words = ["list", "--filesOnly", "--json", "--passWithNoTests", "--changed", base];
  const importing: { file: string }[] = JSON.parse(
    execFileSync(vitest, words, { cwd: folder, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] }),
  );
  const files = new Set(importing.map(({ file }) => file.slice(folder.length + 1)));
  for (const part of parts) {
    if (part.endsWith(".ts")) files.add(`test/${part}`);
    else for (const file of listFiles(join(folder, "test", part))) files.add(file.slice(folder.length + 1));
  }
  return [...files].filter((file) => !file.startsWith("test/e2e/vm/")).sort();
}

function listFiles(folder: string): string[] {
  return fs
    .readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".test.ts"))
    .map((name) => join(folder, name));
}
