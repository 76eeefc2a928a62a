// SPDX-License-Identifier: Apache-2.0
import { spawn } from "node:child_process";
import { Problem } from "./problem";

export interface Bounds {
  /** When the program is stopped. */
  readonly seconds: number;
  /** How many bytes it may print. */
  readonly largest: number;
  /** The error if there is no such program. */
  readonly missing: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: Buffer | undefined;
  /** Whether its stdin stays open as long as it runs. */
  readonly keepsStdin?: boolean;
  /** Takes what is printed as it comes; then it is not in the answer and has no bound. */
  readonly onData?: (chunk: Buffer) => void;
  /** Stops the program. */
  readonly signal?: AbortSignal;
}

export interface Answer {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** How much of stderr is kept: our messages are at its end. */
const keptOfStderr = 64 * 1024;

/** Runs a program to its end. It fails if the program is not there or breaks a bound. */
export function runProgram(program: string, words: readonly string[], bounds: Bounds): Promise<Answer> {
  return new Promise((done, fail) => {
    const child = spawn(program, words, { stdio: "pipe", env: { ...process.env, ...bounds.env } });
    const printed: Buffer[] = [];
    let [size, said] = [0, ""];
    let broken: Problem | undefined;
    const stop = (problem?: Problem) => {
      broken ??= problem;
      child.kill("SIGTERM");
      setTimeout(() => {
        child.kill("SIGKILL");
        // What it has started may live on and hold the other ends.
        child.stdout.destroy();
        child.stderr.destroy();
      }, 2000).unref();
    };
    const late = setTimeout(
      () => stop(new Problem(`gives no answer within ${bounds.seconds} s`)),
      Math.min(bounds.seconds * 1000, 2 ** 31 - 1),
    );
    bounds.signal?.addEventListener("abort", () => stop());
    child.stdout.on("data", (chunk: Buffer) => {
      if (bounds.onData !== undefined) return bounds.onData(chunk);
      size += chunk.length;
      if (size > bounds.largest) stop(new Problem(`prints more than ${bounds.largest} bytes`));
      else printed.push(chunk);
    });
    child.stderr.on("data", (chunk: Buffer) => {
      said = `${said}${chunk}`.slice(-keptOfStderr);
    });
    // A program that ends early breaks its stdin; what it says matters more.
    child.stdin.on("error", () => undefined);
    if (!bounds.keepsStdin) child.stdin.end(bounds.input);
    child.on("error", (error: NodeJS.ErrnoException) => {
      clearTimeout(late);
      fail(new Problem(error.code === "ENOENT" ? bounds.missing : `${program}: ${error.message}`));
    });
    child.on("close", (code, signal) => {
      clearTimeout(late);
      if (broken !== undefined) return fail(broken);
      const stdout = Buffer.concat(printed).toString();
      done({ code: code ?? 1, stdout, stderr: said || (signal ? `ended by ${signal}` : "") });
    });
  });
}
