// SPDX-License-Identifier: Apache-2.0
import { spawn } from "node:child_process";
import { join, resolve } from "node:path";
import { withCleanup } from "../../tools/pulumi/with-cleanup.mjs";

const root = resolve(__dirname, "../..");
/** How many times longer everything may take on an emulated processor of a busy machine. */
export const SLOWNESS = 10;

/**
 * Runs cases here that use another machine, shows them as they end, and returns whether all passed.
 * A signal that ends this process ends the run too.
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
