// SPDX-License-Identifier: Apache-2.0
import { spawn } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll } from "vitest";

const root = resolve(__dirname, "../../..");
const folders: string[] = [];
afterAll(() => {
  for (const folder of folders.splice(0)) fs.rmSync(folder, { recursive: true, force: true });
});

/** A folder that is removed after the tests. */
export function makeFolder(parent = tmpdir()): string {
  const folder = fs.mkdtempSync(join(parent, "socket-bypass-test-cli-"));
  folders.push(folder);
  return folder;
}

/** A folder for PATH, with programs that are lines of a shell. */
export function programs(lines: Readonly<Record<string, string>>): string {
  const folder = makeFolder();
  for (const [name, line] of Object.entries(lines))
    fs.writeFileSync(join(folder, name), `#!/bin/sh\n${line}\n`, { mode: 0o755 });
  return folder;
}

/** The words that run the command from its sources. */
export const cliWords = [
  process.execPath,
  "--import",
  join(root, "node_modules/tsx/dist/loader.mjs"),
  join(root, "src/cli.ts"),
];

/** Runs a command line of ours to its end. */
export function cli(words: readonly string[], env: Readonly<Record<string, string>> = {}, cwd = root) {
  return new Promise<{ code: number | null; stdout: string; stderr: string }>((done, failed) => {
    const [node = "", ...rest] = cliWords;
    const child = spawn(node, [...rest, ...words], {
      cwd,
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...env },
    });
    const [out, err]: [Buffer[], Buffer[]] = [[], []];
    child.stdout.on("data", (data) => out.push(data));
    child.stderr.on("data", (data) => err.push(data));
    child.on("error", failed);
    child.on("close", (code) =>
      done({ code, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() }),
    );
  });
}
