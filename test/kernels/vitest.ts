// SPDX-License-Identifier: Apache-2.0
import { spawn } from "node:child_process";
import { join, resolve } from "node:path";
import { withCleanup } from "../../tools/pulumi/with-cleanup.mjs";

const root = resolve(__dirname, "../..");
/** How many times longer everything may take: an emulated processor on a busy machine. */
export const SLOWNESS = 10;

/**
 * Runs cases here that use a machine elsewhere; shows them as they end, and tells whether all
 * passed. When this process is ended, so is the run.
 */
export async function runCases(args: readonly string[], env: Record<string, string>): Promise<boolean> {
  const child = spawn(join(root, "node_modules/.bin/vitest"), ["run", "--reporter=verbose", ...args], {
    cwd: root,
    stdio: ["ignore", 2, 2],
    env: { ...process.env, ...env },
  });
  await withCleanup(
    () => child.kill("SIGTERM"),
    () => new Promise((done) => child.once("close", done)),
  );
  return child.exitCode === 0;
}
