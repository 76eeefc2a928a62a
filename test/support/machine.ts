// SPDX-License-Identifier: Apache-2.0
/*
 * The machine whose kernel is tested: this one, or a virtual machine that test/kernels/run.ts has
 * started and names in SOCKET_BYPASS_TEST_GUEST (an ssh_config with a host called guest). The tests
 * themselves always run here; test/bpf touches the machine through these functions only, so that it
 * has one list of cases for both.
 */
import { execFileSync } from "node:child_process";
import { shellLine } from "../../src/commands/quote.js";

const guest = process.env.SOCKET_BYPASS_TEST_GUEST;
export const isGuest = guest !== undefined;

/** The factor for every timeout, because an emulated processor is many times slower. */
export const slowness = Number(process.env.SOCKET_BYPASS_TEST_SLOWNESS ?? 1);

/** Scales an amount of work: an emulated machine gets a tenth of it. */
export function amount(full: number): number {
  return isGuest ? full / 10 : full;
}

/** Translates a command for the machine into one that runs here. */
export function there(command: string, args: readonly string[], env: Record<string, string> = {}) {
  if (guest === undefined) return { command, args: [...args], env };
  const words = ["env", ...Object.entries(env).map(([name, value]) => `${name}=${value}`), command, ...args];
  return {
    command: "ssh",
    args: ["-F", guest, "guest", shellLine(words)],
    env: { PATH: process.env.PATH ?? "" },
  };
}

/** Runs a command on the machine to its end and returns its stdout; throws if it fails. */
export function call(command: string, ...args: string[]): string {
  const line = there(command, args);
  return execFileSync(line.command, line.args, { encoding: "utf8", maxBuffer: 1 << 28 });
}

/** Whether FIONREAD of an enrolled socket counts the bytes that were redirected to it. */
export function countsRedirected(): boolean {
  return call("sh", "-c", "grep -c msg_tot_len /sys/kernel/btf/vmlinux || :").trim() !== "0";
}

export function isThere(path: string): boolean {
  try {
    call("test", "-e", path);
    return true;
  } catch {
    return false;
  }
}

const sent = new Set<string>();

/** Copies a folder of this machine to the same path on the other one. */
export function send(folder: string): void {
  if (guest === undefined || sent.has(folder)) return;
  const files = execFileSync("tar", ["-c", "--mtime=@0", "--exclude=__pycache__", "-C", folder, "."], {
    maxBuffer: 1 << 28,
  });
  const { command, args } = there("sh", ["-c", 'mkdir -p "$0" && tar -xo -C "$0"', folder]);
  execFileSync(command, args, { input: files });
  sent.add(folder);
}
