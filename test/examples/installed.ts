// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { dirname, join, resolve } from "node:path";
import { makeFolder, manifest, packTarball } from "../package/outside.js";

export const examples = resolve(__dirname, "../../examples");

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}
export const manifestOf = (name: string): Manifest =>
  JSON.parse(fs.readFileSync(join(examples, name, "package.json"), "utf8"));

/**
 * Copies of examples in a folder outside of this checkout, with the packed tarball and all packages
 * that they ask for. They are installed once for all of them, one folder above.
 */
export class Installed {
  private constructor(private readonly folder: string) {}

  static async install(names: readonly string[]): Promise<Installed> {
    const installed = new Installed(makeFolder());
    try {
      await installed.fill(names);
    } catch (error) {
      installed.remove();
      throw error;
    }
    return installed;
  }

  private async fill(names: readonly string[]): Promise<void> {
    const wanted: Record<string, string> = {};
    for (const name of names) {
      const { dependencies, devDependencies } = manifestOf(name);
      Object.assign(wanted, dependencies, devDependencies);
      copyExample(name, this.folder);
    }
    // The engine of the tests has plugins of these versions, and newer SDKs ask for a newer Node.
    for (const name of ["@pulumi/pulumi", "@pulumi/kubernetes"])
      if (name in wanted) wanted[name] = manifest.devDependencies[name];
    const dependencies = { ...wanted, "socket-bypass": `file:${await packTarball(this.folder)}` };
    fs.writeFileSync(this.path("package.json"), JSON.stringify({ private: true, dependencies }));
    const quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", "--prefer-offline"];
    execFileSync("npm", ["install", ...quiet], { cwd: this.folder, stdio: ["ignore", "ignore", "pipe"] });
  }

  path(...names: string[]): string {
    return join(this.folder, ...names);
  }

  /** Runs a program of the installed packages, and gives what it prints. */
  run(program: string, words: readonly string[], cwd = this.folder): string {
    return execFileSync(this.path("node_modules/.bin", program), words, { cwd, encoding: "utf8", stdio: "pipe" });
  }

  remove(): void {
    fs.rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Git knows what belongs to an example: somebody may have run it in the checkout. */
function copyExample(name: string, folder: string): void {
  const words = ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", name];
  const files = execFileSync("git", words, { cwd: examples, encoding: "utf8" }).split("\0").filter(Boolean);
  for (const file of files) {
    fs.mkdirSync(dirname(join(folder, file)), { recursive: true });
    fs.copyFileSync(join(examples, file), join(folder, file));
  }
}
