// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { dirname, join, resolve } from "node:path";
import { forTag } from "../../../tools/release/manifest.js";

const root = resolve(__dirname, "../../..");

/**
 * Unpacks into `folder` what a release tag carries, and installs what it needs at run time. Nothing
 * is built there, and no development dependency is there. Returns the folder of the package.
 */
export function unpackRelease(folder: string): string {
  const released = unpack(folder);
  npm(released, "install", "--omit=dev", "--no-audit", "--no-fund", "--prefer-offline");
  return released;
}

/**
 * Makes the bare repository `folder`/NAME/NAME.git, whose tag of the version carries a release, and
 * whose branch does not. test/package/release.test.ts proves that this is what such a tag has.
 */
export function makeRepository(folder: string): { readonly path: string; readonly version: string } {
  const { name, version } = JSON.parse(fs.readFileSync(join(root, "package.json"), "utf8"));
  const work = unpack(fs.mkdtempSync(join(folder, "release-")));
  const identity = ["-c", "user.name=release", "-c", "user.email=release@example.com"];
  const git = (...words: string[]) => execFileSync("git", [...identity, ...words], { cwd: work, stdio: "pipe" });
  git("init", "--quiet", "--initial-branch", "main");
  git("commit", "--quiet", "--allow-empty", "--message", "sources");
  git("checkout", "--quiet", "--detach");
  git("add", "--all", "--force");
  git("commit", "--quiet", "--message", version);
  git("tag", `v${version}`);
  git("checkout", "--quiet", "main");
  const path = `${name}/${name}`;
  git("clone", "--quiet", "--bare", work, join(folder, `${path}.git`));
  fs.rmSync(dirname(work), { recursive: true });
  return { path, version };
}

/** Returns the folder of the package, which has no dependency yet. */
function unpack(folder: string): string {
  const [packed] = JSON.parse(npm(root, "pack", "--json", "--pack-destination", folder));
  execFileSync("tar", ["-xzf", join(folder, packed.filename), "-C", folder]);
  const released = join(folder, "package");
  const manifest = JSON.parse(fs.readFileSync(join(root, "package.json"), "utf8"));
  fs.writeFileSync(join(released, "package.json"), JSON.stringify(forTag(manifest)));
  return released;
}

function npm(cwd: string, ...words: string[]): string {
  return execFileSync("npm", [...words, "--ignore-scripts", "--loglevel=error"], { cwd, encoding: "utf8" });
}
