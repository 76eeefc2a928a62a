// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn } from "node:child_process";
import { resolve } from "node:path";

/** The checkout, in which every command runs. */
export const checkout = resolve(__dirname, "../..");

/** A refusal that the user can act on, so it is printed without a stack trace. */
export class DemoError extends Error {}

/** stdout belongs to the result, so every message goes to stderr. */
export function say(text: string): void {
  process.stderr.write(`demo: ${text}\n`);
}

export interface RunOptions {
  readonly env?: NodeJS.ProcessEnv;
  /** Shows the output to the user, on stderr, instead of collecting it. */
  readonly shown?: boolean;
}

const running = new Set<ChildProcess>();
let stoppedBy: NodeJS.Signals | undefined;

/** Runs a command to its end and returns its stdout. */
export async function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  refuseWhenStopped();
  // The command has a process group of its own, so that an interrupt reaches it only from us, and
  // once: a second one makes Pulumi give up its state.
  const child = spawn(command, args, {
    cwd: checkout,
    env: options.env ?? process.env,
    detached: true,
    stdio: ["ignore", options.shown ? 2 : "pipe", "inherit"],
  });
  running.add(child);
  const chunks: Buffer[] = [];
  child.stdout?.on("data", (chunk: Buffer) => chunks.push(chunk));
  const code = await new Promise<number | null>((done, fail) => {
    child.once("error", fail);
    child.once("close", done);
  }).finally(() => running.delete(child));
  refuseWhenStopped();
  if (code !== 0) {
    throw new DemoError(
      `${command} ${args.join(" ")}: expected success, found exit code ${code}; its own words are above`,
    );
  }
  return Buffer.concat(chunks).toString();
}

/** Runs `work`. `undo` follows in every case, also after a signal. */
export async function withCleanup<T>(undo: () => Promise<void> | void, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } finally {
    await undo();
  }
}

/** Runs a command even after a signal, because undoing has to run commands too. */
export async function runEvenWhenStopped(command: string, args: readonly string[]): Promise<void> {
  const before = stoppedBy;
  stoppedBy = undefined;
  try {
    await run(command, args);
  } finally {
    stoppedBy ??= before;
  }
}

/**
 * Runs the program of a file. A refusal ends it with exit code 1, and a signal with 128 plus its
 * number.
 */
export function start(main: () => Promise<void>): void {
  const numbers = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;
  for (const signal of ["SIGHUP", "SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => {
      if (stoppedBy === undefined) say(`${signal}: cleaning up`);
      stoppedBy = signal;
      for (const child of running) child.kill("SIGINT");
    });
  }
  main().catch((error: unknown) => {
    const signal = stoppedBy;
    if (signal !== undefined) process.exit(128 + numbers[signal as keyof typeof numbers]);
    if (!(error instanceof DemoError)) throw error;
    say(error.message);
    process.exitCode = 1;
  });
}

function refuseWhenStopped(): void {
  if (stoppedBy !== undefined) throw new DemoError(`stopped by ${stoppedBy}`);
}
