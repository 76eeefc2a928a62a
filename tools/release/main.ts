// SPDX-License-Identifier: Apache-2.0
/*
 * Makes a release of the commit that is checked out:
 *
 *   npx tsx tools/release/main.ts [--out DIR]
 *
 * It checks that package.json, CHANGELOG.md and schema.json agree, builds, and makes
 *   - DIR/socket-bypass-X.Y.Z.tgz, which is for `npm publish` (default: dist/release)
 *   - DIR/notes.md, the section of CHANGELOG.md
 *   - the tag vX.Y.Z, whose commit has the files of that tarball and nothing else; only its
 *     package.json differs. Pulumi reads a package for other languages from a git tag and builds
 *     nothing.
 *
 * Branches stay where they are, and nothing is sent anywhere: the last lines say how to do that.
 * The same checkout and compilers give the same files at any time, dated as the checked-out commit.
 * The commit and the tag also name who made them (user.name and user.email of git), so the same
 * person gets the same commit again, and another person gets another one.
 */
import { type ExecFileSyncOptions, execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { faultsOf, sectionOf } from "./changelog.js";
import { forNpm, forTag } from "./manifest.js";

const root = resolve(__dirname, "../..");
/** What a release is useless without, whatever package.json lists. */
const required = [
  "bin/index.js",
  "bin/index.d.ts",
  "dist/host/socket-bypass",
  "PulumiPlugin.yaml",
  "LICENSE",
  "NOTICE",
];

class Refusal extends Error {}

function main(): void {
  const { values } = parseArgs({ options: { out: { type: "string" } } });
  const { name, version } = readJson(join(root, "package.json"));
  const tag = `v${version}`;
  check(tag, version);
  run("sh", ["tools/setup/prepare.sh", "build"]);
  requireClean();
  const out = resolve(values.out ?? join(root, "dist/release"));
  fs.mkdirSync(out, { recursive: true });
  const folder = fs.mkdtempSync(join(tmpdir(), "socket-bypass-release-"));
  try {
    const tree = makeTree(folder);
    const tarball = pack(tree, out);
    writeJson(join(tree, "package.json"), forTag(readJson(join(root, "package.json"))));
    fs.writeFileSync(join(out, "notes.md"), `${sectionOf(changelog(), version).trim()}\n`);
    const commit = commitTree(tree, join(folder, "index"), `${name} ${version}`);
    git(["tag", "--annotate", tag, commit, "--message", `${name} ${version}`], dates());
    console.log(
      `${tag}: ${commit}\n${tarball}\ntype: git push origin ${tag} && npm publish ${tarball} --access public`,
    );
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

function check(tag: string, version: string): void {
  const faults = faultsOf(changelog(), version);
  if (faults.length > 0) throw new Refusal(faults.map((fault) => `CHANGELOG.md: ${fault}`).join("\n"));
  const described = readJson(join(root, "schema.json")).version;
  if (described !== version)
    throw new Refusal(
      `schema.json: expected version ${version}, found ${described}; type: npx tsx tools/schema/main.ts`,
    );
  if (git(["tag", "--list", tag]) !== "") throw new Refusal(`${tag}: expected a new version, found that tag`);
  requireClean();
}

function changelog(): string {
  return fs.readFileSync(join(root, "CHANGELOG.md"), "utf8");
}

/** Otherwise the tarball would hold what no commit has. */
function requireClean(): void {
  const changes = git(["status", "--porcelain"]);
  if (changes !== "") throw new Refusal(`expected a checkout without changes, found:\n${changes}`);
}

/** Unpacks what `npm pack` takes, with the package.json for npm. */
function makeTree(folder: string): string {
  const tarball = pack(root, folder);
  run("tar", ["-xzf", tarball, "-C", folder]);
  const tree = join(folder, "package");
  writeJson(join(tree, "package.json"), forNpm(readJson(join(root, "package.json"))));
  for (const file of required)
    if (!fs.existsSync(join(tree, file))) throw new Refusal(`${file}: expected it in the release, found none`);
  return tree;
}

function pack(from: string, to: string): string {
  const words = ["pack", from, "--ignore-scripts", "--json", "--loglevel=error", "--pack-destination", to];
  return join(to, JSON.parse(run("npm", words))[0].filename);
}

/**
 * Commits the folder with an index of its own: no branch and no file moves. The commit has no
 * parent: against that it would remove the workflows, which GitHub may refuse to a job.
 */
function commitTree(tree: string, index: string, message: string): string {
  const env = { GIT_INDEX_FILE: index, GIT_DIR: git(["rev-parse", "--absolute-git-dir"]), GIT_WORK_TREE: tree };
  // Forced, because the checkout ignores what it builds. Bytes stay as they are.
  run("git", ["-c", "core.autocrlf=false", "add", "--all", "--force", "."], { cwd: tree, env });
  const written = run("git", ["write-tree"], { cwd: tree, env });
  const body = `What npm has of ${git(["rev-parse", "HEAD"])}, for git.`;
  return git(["commit-tree", written, "-m", `${message}\n\n${body}`], dates());
}

function dates(): Record<string, string> {
  const date = git(["log", "-1", "--format=%cI"]);
  return { GIT_AUTHOR_DATE: date, GIT_COMMITTER_DATE: date };
}

function git(words: readonly string[], env: Record<string, string> = {}): string {
  return run("git", words, { env });
}

function run(command: string, words: readonly string[], options: ExecFileSyncOptions = {}): string {
  const env = { ...process.env, ...options.env };
  const stdio: ExecFileSyncOptions["stdio"] = ["ignore", "pipe", "inherit"];
  return execFileSync(command, words, { cwd: root, ...options, env, stdio, encoding: "utf8" }).trim();
}

function readJson(file: string) {
  return JSON.parse(fs.readFileSync(file, "utf8"));
}

function writeJson(file: string, value: unknown): void {
  fs.writeFileSync(file, `${JSON.stringify(value, null, 2)}\n`);
}

try {
  main();
} catch (error) {
  if (!(error instanceof Refusal)) throw error;
  console.error(`release: ${error.message}`);
  process.exitCode = 1;
}
