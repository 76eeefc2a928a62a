// SPDX-License-Identifier: Apache-2.0
import { spawn } from "node:child_process";
import { atInterrupt, withCleanup } from "./with-cleanup.mjs";

/** A refusal that the user can act on, so it is printed without a stack trace. */
export class EngineError extends Error {}

export function say(text) {
  process.stderr.write(`engine: ${text}\n`);
}

atInterrupt(() => say("interrupted; what is compiled so far is kept, run the same again to go on"));

/**
 * Runs a command to its end and prints a line of progress every 5 seconds. Returns the exit code
 * (null if killed) and the last lines of its output. `limitSeconds` is 0 for no limit.
 */
export async function runLong(command, args, { cwd, env, what, limitSeconds = 0 }) {
  const started = Date.now();
  const seconds = () => Math.round((Date.now() - started) / 1000);
  // The command has a process group of its own, so that the compilers that it starts end with it.
  const child = spawn(command, args, { cwd, env, detached: true, stdio: ["ignore", "pipe", "pipe"] });
  const tail = [];
  let lines = 0;
  const listen = (chunk) => {
    const fresh = chunk.toString().split("\n").filter(Boolean);
    lines += fresh.length;
    tail.push(...fresh);
    tail.splice(0, tail.length - 20);
  };
  child.stdout.on("data", listen);
  child.stderr.on("data", listen);

  const kill = (signal) => {
    try {
      process.kill(-child.pid, signal);
    } catch {
      // The process has already ended.
    }
  };
  const progress = setInterval(() => say(`${what}: ${seconds()} s, ${lines} steps so far`), 5_000);
  const limit = limitSeconds > 0 ? setTimeout(() => kill("SIGKILL"), limitSeconds * 1000) : undefined;
  try {
    return await withCleanup(
      // SIGINT and not SIGKILL, because go then removes its temporary folder.
      () => kill("SIGINT"),
      () =>
        new Promise((resolve, reject) => {
          child.once("error", reject);
          child.once("close", (code) => resolve({ code, tail, seconds: seconds() }));
        }),
    );
  } finally {
    clearInterval(progress);
    clearTimeout(limit);
  }
}
