// SPDX-License-Identifier: Apache-2.0
/*
 * Runs real programs on loopback, server and client both in the private cgroup of a Datapath. The
 * client checks every byte, and the kernel's counters show that the bytes went through the bypass.
 *
 * Not proven here: other versions than the ones installed; TLS; programs under load for longer than
 * seconds; speed.
 */
import { execFileSync, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { afterEach, expect } from "vitest";
import { type Datapath, expectCounters, isSkipped as isDatapathSkipped } from "../../bpf/datapath.js";
import { root, temporaryFolder } from "../../support/host.js";

// Debian installs servers in folders that only root has on PATH.
const PATH = `${process.env.PATH}:/usr/sbin:/sbin`;

/** Whether tests are skipped because they lack one of these tools; in CI they fail instead. */
export function isSkippedWithout(...tools: string[]): boolean {
  const lacking = tools.find((tool) => spawnSync("which", [tool], { env: { PATH } }).status !== 0);
  if (lacking !== undefined) console.warn(`test/e2e/apps: expected ${lacking}, found none`);
  return isDatapathSkipped || (lacking !== undefined && !process.env.CI);
}

const running: Program[] = [];
// Runs before the hook of the datapath, which kills what is left, and so would leave a database's
// shared memory behind.
afterEach(async () => {
  await Promise.all(running.splice(0).map((program) => program.stop()));
});

interface Options {
  /** The signal that ends it in good order; default SIGTERM. */
  readonly signal?: NodeJS.Signals;
  readonly user?: string;
  readonly folder?: string;
}

/** A program inside the cgroup; its stdout and stderr are one text. */
export class Program {
  text = "";
  private readonly child: ReturnType<Datapath["host"]["start"]>;
  private readonly ended: Promise<number | null>;

  constructor(
    path: Datapath,
    words: readonly (string | number)[],
    private readonly options: Options = {},
  ) {
    const { user, folder = "/" } = options;
    const as = user === undefined ? [] : ["setpriv", `--reuid=${user}`, `--regid=${user}`, "--init-groups"];
    const line = 'cd "$0" && exec "$@" 2>&1';
    this.child = path.host.start("env", `PATH=${PATH}`, "sh", "-c", line, folder, ...as, ...words.map(String));
    this.child.stdout?.on("data", (data) => {
      this.text += data;
    });
    this.ended = new Promise((done) => this.child.on("close", (code, signal) => done(code ?? (signal ? -1 : null))));
    running.push(this);
  }

  /** Returns what it printed; fails unless it exits with 0 by itself in that time. */
  async result(seconds = 60): Promise<string> {
    const code = await this.within(seconds);
    if (code !== 0) throw new Error(`${this.name}: expected exit 0 within ${seconds} s, found ${code}\n${this.text}`);
    return this.text;
  }

  /** Waits until it listens on that port of any address. */
  async listens(port: number): Promise<this> {
    for (const end = Date.now() + 60_000; !isListening(port); await pause(20)) {
      const code = await Promise.race([this.ended, "running"]);
      if (code !== "running" || Date.now() > end) {
        throw new Error(`${this.name}: expected it on port ${port}, found it ${code}\n${this.text}`);
      }
    }
    return this;
  }

  /** Waits until it has printed this. */
  async says(pattern: RegExp): Promise<this> {
    for (const end = Date.now() + 60_000; !pattern.test(this.text); await pause(20)) {
      const code = await Promise.race([this.ended, "running"]);
      if (code !== "running" || Date.now() > end) {
        throw new Error(`${this.name}: expected it to say ${pattern}, found it ${code}\n${this.text}`);
      }
    }
    return this;
  }

  async stop(): Promise<void> {
    this.child.kill(this.options.signal ?? "SIGTERM");
    if ((await this.within(8)) === undefined) {
      this.child.kill("SIGKILL");
      throw new Error(`${this.name}: expected it to end when asked, found it running after 8 s\n${this.text}`);
    }
  }

  kill(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  private get name(): string {
    return this.child.spawnargs.slice(-6).join(" ");
  }

  private async within(seconds: number): Promise<number | null | undefined> {
    const clock = pause(seconds * 1000);
    return await Promise.race([this.ended, clock.then(() => undefined)]).finally(() => clock.cancel());
  }
}

/** Makes a folder that this user owns and can reach. */
export function folderOf(user: string): string {
  const folder = temporaryFolder();
  fs.chmodSync(folder, 0o711);
  const own = join(folder, "own");
  fs.mkdirSync(own, { mode: 0o700 });
  execFileSync("chown", [`${user}:`, own]);
  return own;
}

export function fileWith(text: string, name = "config"): string {
  const file = join(temporaryFolder(), name);
  fs.writeFileSync(file, text);
  return file;
}

/** The command of a client in Python, which uses what the cases of test/bpf share. */
export function client(name: string): string[] {
  const script = join(__dirname, "clients", `${name}.py`);
  return ["env", `PYTHONPATH=${join(__dirname, "../../bpf/cases")}`, "python3", "-B", script];
}

/** Connections of test/host/script/advise.py. */
export function connections(...words: (string | number)[]): (string | number)[] {
  const path = `PYTHONPATH=${join(root, "test/bpf/cases")}`;
  return ["env", path, "python3", "-B", join(root, "test/host/script/advise.py"), ...words];
}

/**
 * The words to put before a command for which the kernel refuses splice with this error, as in a
 * unit with SystemCallFilter=~splice:…
 */
export function withoutSplice(errno: number): string[] {
  return ["python3", "-c", filter, `${errno}`];
}

// The filter loads the number of the system call, compares it with that of splice, and returns one
// of two results.
const filter = `
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
splice = {"x86_64": 275, "aarch64": 76}[os.uname().machine]
lines = [(0x20, 0, 0, 0), (0x15, 0, 1, splice), (6, 0, 0, 0x50000 | int(sys.argv[1])), (6, 0, 0, 0x7fff0000)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in lines))
rules = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(lines), ctypes.addressof(code)))
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, rules) == 0, ctypes.get_errno()
os.execvp(sys.argv[2], sys.argv[2:])
`;

export const over = (least: number) => expect.toSatisfy((count: number) => count > least, `more than ${least}`);

/**
 * Expects that both ends were enrolled, that at least so much was redirected, and that nothing was
 * refused or failed.
 */
export async function expectRedirected(path: Datapath, pairs: number, messages: number, bytes: number): Promise<void> {
  await expectCounters(path, {
    pairs: over(pairs - 1),
    redirected_messages: over(messages - 1),
    redirected_bytes: over(bytes - 1),
    redirect_failed: 0,
    refused_busy: 0,
    refused_full: 0,
    refused_other: 0,
    refused_options: 0,
    refused_deferred: 0,
  });
}

export interface Advice {
  readonly services: readonly {
    readonly port: number;
    readonly program: string;
    readonly clients: readonly string[];
    readonly kind: string;
    readonly advice: string;
    readonly onHost: number;
    readonly dangers: readonly { readonly kind: string; readonly program: string }[];
  }[];
  readonly traffic: { readonly ports: readonly number[] };
}

/** On a busy machine a client may need seconds to begin, so it asks again while one has not. */
export async function adviseOn(path: Datapath, ports: readonly number[]): Promise<Advice> {
  for (let tries = 1; ; tries++) {
    const { code, stdout, stderr } = await path.host.raw("advise", "--json", "--seconds", "4");
    // Other tests may have instances here that this version cannot read.
    expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringMatching(/^(socket-bypass: note: .*\n)*$/) });
    const advice: Advice = JSON.parse(stdout);
    const isBusy = (port: number) =>
      advice.services.some((one) => one.port === port && (one.kind !== "idle" || one.onHost === 0));
    if (ports.every(isBusy) || tries === 3) return advice;
  }
}

function isListening(port: number): boolean {
  const mark = new RegExp(`^ *\\d+: \\w+:${port.toString(16).toUpperCase().padStart(4, "0")} \\w+:0000 0A `, "m");
  return ["tcp", "tcp6"].some((name) => mark.test(fs.readFileSync(`/proc/net/${name}`, "utf8")));
}

function pause(milliseconds: number): Promise<void> & { cancel(): void } {
  let timer: NodeJS.Timeout | undefined;
  const promise = new Promise<void>((wake) => {
    timer = setTimeout(wake, milliseconds);
  });
  return Object.assign(promise, { cancel: () => clearTimeout(timer) });
}
