// SPDX-License-Identifier: Apache-2.0
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "../tools/ensure.js";

/** The package.json of this checkout. */
export const manifest = JSON.parse(fs.readFileSync(join(__dirname, "../../package.json"), "utf8"));

/**
 * A folder outside this checkout, which the caller removes. test/support/sweep.ts knows its name.
 */
export function makeFolder(): string {
  return fs.mkdtempSync(join(tmpdir(), `socket-bypass-outside-${process.pid}-`));
}

/** Packs what is built, as `npm publish` does, and gives the path of the tarball. */
export async function packTarball(folder: string): Promise<string> {
  // The tests build before they run; building again would disturb those that run beside this one.
  const words = ["pack", "--ignore-scripts", "--json", "--pack-destination", folder];
  const { code, stdout, stderr } = await run("npm", words);
  if (code !== 0) throw new Error(`npm pack ended with ${code}: ${stderr}`);
  return join(folder, JSON.parse(stdout)[0].filename);
}

/** A repository of a user, with the tarball and other packages from the registry or the cache. */
export class Outside {
  private constructor(readonly folder: string) {}

  static async install(packages: readonly string[]): Promise<Outside> {
    const outside = new Outside(makeFolder());
    outside.write("package.json", JSON.stringify({ private: true }));
    const quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", "--prefer-offline"];
    const words = ["install", "--prefix", outside.folder, ...quiet, ...packages];
    const { code, stderr } = await outside.run("npm", words);
    if (code === 0) return outside;
    outside.remove();
    throw new Error(`npm install ${packages.join(" ")} ended with ${code}: ${stderr}`);
  }

  write(name: string, text: string): void {
    fs.writeFileSync(join(this.folder, name), text);
  }

  find(name: string): string {
    return join(this.folder, "node_modules", name);
  }

  run(command: string, words: string[]) {
    return run(command, words, {}, this.folder);
  }

  /** Compiles index.ts with the TypeScript that is installed there; nothing is left out. */
  async compile(options: Readonly<Record<string, unknown>>): Promise<string> {
    const compilerOptions = { ...options, strict: true, noEmit: true, forceConsistentCasingInFileNames: true };
    this.write("tsconfig.json", JSON.stringify({ compilerOptions, files: ["index.ts"] }));
    const { code, stdout, stderr } = await this.run(process.execPath, [
      this.find("typescript/bin/tsc"),
      ...["--project", ".", "--pretty", "false"],
    ]);
    return code === 0 ? "compiled" : `${stdout}${stderr}`;
  }

  remove(): void {
    fs.rmSync(this.folder, { recursive: true, force: true });
  }
}
