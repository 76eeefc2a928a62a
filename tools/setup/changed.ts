// SPDX-License-Identifier: Apache-2.0
/*
 * Which tests a change can touch: `npm test -- --changed [BASE]`. What differs from BASE (default:
 * where this branch left main), what is not committed and what is new are looked up by their
 * folders; of TypeScript, vitest knows which test files import what. A file that no row names
 * touches everything.
 */
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";

/** Folders of test/ whose tests send bytes through what a host is sent. */
const onHosts = ["bpf", "host/script", "e2e/apps", "e2e/local", "e2e/ssh", "host/pod", "e2e/kubernetes"];
/** Folders of test/ that run the real engine. */
const withEngine = ["e2e/local", "e2e/ssh", "e2e/kubernetes"];

/**
 * By how a path begins, the first that fits: the folders and files of test/ that it can touch,
 * beside those that import it.
 */
export const touched: readonly (readonly [string, readonly string[]])[] = [
  ["bpf/", [...onHosts, "src/bundle"]],
  ["host/pod/", ["host/pod", "e2e/kubernetes", "src/bundle"]],
  ["host/helper/", [...onHosts, "host/helper", "src/bundle"]],
  ["host/build/", [...onHosts, "host/helper", "src/bundle", "tools/zig.test.ts"]],
  ["host/", [...onHosts, "src/bundle"]],
  ["image/", ["e2e/kubernetes"]],
  ["src/", ["src", ...withEngine]],
  ["PulumiPlugin.yaml", withEngine],
  ["tools/pulumi/", ["tools", ...withEngine]],
  ["examples/", ["e2e/ssh/example.test.ts", "e2e/kubernetes/example.test.ts"]],
  ["tools/setup/isolate.sh", ["host/script"]],
  ["tools/setup/", ["tools"]],
  // Lint and types are what looks at these, and tests that import them.
  ["tools/bench/", []],
  ["tools/demo/", []],
  ["tools/lint/", []],
  ["docs/", []],
  [".", []],
  ["README.md", []],
  ["CONTRIBUTING.md", []],
  ["SECURITY.md", []],
  ["LICENSE", []],
  ["biome.json", []],
  ["Pulumi.yaml", []],
  ["test/bpf/soak/main.ts", []],
  ["test/e2e/vm/", []],
  // What tests run but do not import; of the rest of a folder of test/, its own tests.
  ["test/bpf/", ["bpf", "e2e/apps"]],
];

/** Runs before and after every test file. */
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

/** Where this branch left main, else what is committed. */
export function findBase(folder: string): string {
  for (const name of ["origin/HEAD", "origin/main", "main"]) {
    try {
      const words = ["merge-base", "HEAD", name];
      return execFileSync("git", words, { cwd: folder, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
    } catch {
      // There is no such branch here.
    }
  }
  return "HEAD";
}

/** Test files that a change since `base` can touch, or all. */
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
