// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { join, resolve } from "node:path";
import { forTag } from "../../../tools/release/manifest.js";

const root = resolve(__dirname, "../../..");

/**
 * Unpacks into `folder` what a release tag carries, and installs what it needs at run time. Nothing
 * is built there, and no development dependency is there. Returns the folder of the package.
 */
export function unpackRelease(folder: string): string {
  const npm = (cwd: string, ...words: string[]) =>
    execFileSync("npm", [...words, "--ignore-scripts", "--loglevel=error"], { cwd, encoding: "utf8" });
  const [packed] = JSON.parse(npm(root, "pack", "--json", "--pack-destination", folder));
  execFileSync("tar", ["-xzf", join(folder, packed.filename), "-C", folder]);
  const released = join(folder, "package");
  const manifest = JSON.parse(fs.readFileSync(join(root, "package.json"), "utf8"));
  fs.writeFileSync(join(released, "package.json"), JSON.stringify(forTag(manifest)));
  npm(released, "install", "--omit=dev", "--no-audit", "--no-fund", "--prefer-offline");
  return released;
}
