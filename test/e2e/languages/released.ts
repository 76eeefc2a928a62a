// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { join, resolve } from "node:path";

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
  const { scripts: _, devDependencies, ...manifest } = readJson(join(released, "package.json"));
  // The newest SDK of the peer range wants a newer Node than these tests have.
  const peer = { "@pulumi/pulumi": devDependencies["@pulumi/pulumi"] };
  const dependencies = { ...manifest.dependencies, ...peer };
  fs.writeFileSync(join(released, "package.json"), JSON.stringify({ ...manifest, dependencies }));
  npm(released, "install", "--omit=dev", "--no-audit", "--no-fund", "--prefer-offline");
  return released;
}

function readJson(file: string) {
  return JSON.parse(fs.readFileSync(file, "utf8"));
}
