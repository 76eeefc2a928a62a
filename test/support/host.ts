// SPDX-License-Identifier: Apache-2.0
// Long: one host with all that a test may do to it.
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, afterEach } from "vitest";
import { findMount } from "../../tools/setup/mounts.js";
import { call, isGuest, isThere, send, there } from "./machine.js";

export const root = resolve(__dirname, "../..");

/**
 * The two shells under which the script must run; the second also brings its own tools: awk, ls,
 * mv, …
 */
export const shells = ["dash", "busybox"] as const;
export type Shell = (typeof shells)[number];

export interface Answer {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

const v2 = findMount("cgroup2", call("cat", "/proc/mounts"));
const bpffs = "/sys/fs/bpf";
const pins = join(bpffs, "socket-bypass");

/** What these tests lack here, or undefined. Then they fail in CI, and are skipped elsewhere. */
export const lacking =
  !isGuest && process.getuid?.() !== 0
    ? "root"
    : v2 === undefined
      ? "a cgroup2 mount"
      : ["bpftool", "busybox", "dash"].find(
          (tool) => !isGuest && spawnSync(tool, ["version"], { stdio: "ignore" }).error !== undefined,
        );
export const isSkipped = lacking !== undefined && !process.env.CI;
if (lacking !== undefined) console.warn(`test/host/script: expected ${lacking}, found none`);

const folders: string[] = [];
let bins: Record<Shell, string> | undefined;
let built: string | undefined;

export function temporaryFolder(): string {
  const folder = fs.mkdtempSync(join(tmpdir(), "socket-bypass-test-"));
  folders.push(folder);
  return folder;
}

/**
 * Makes a folder outside /tmp: root runs what lies there, so nobody else may be able to write to
 * any folder above it.
 */
export function stateFolder(): string {
  const folder = fs.mkdtempSync(`/var/lib/socket-bypass-test-${process.pid}-`);
  folders.push(folder);
  return folder;
}

afterAll(() => {
  for (const folder of folders.splice(0)) fs.rmSync(folder, { recursive: true, force: true });
  bins = built = undefined;
});

/** A folder whose `sh` is that shell. */
export function shellFolder(shell: Shell): string {
  if (isGuest) return { dash: "/bin", busybox: "/opt/busybox" }[shell];
  if (bins === undefined) {
    const [dash, busybox] = [temporaryFolder(), temporaryFolder()];
    fs.symlinkSync("/usr/bin/dash", join(dash, "sh"));
    for (const applet of execFileSync("busybox", ["--list"], { encoding: "utf8" }).trim().split("\n")) {
      fs.symlinkSync("/usr/bin/busybox", join(busybox, applet));
    }
    bins = { dash, busybox };
  }
  return bins[shell];
}

/**
 * The unpacked bundle as a host receives it: the objects, the helper and the script of this tree.
 */
export function bundle(): string {
  if (built === undefined) {
    const dist = join(root, "dist/host");
    execFileSync("sh", [join(root, "bpf/build.sh"), dist]);
    if (!fs.existsSync(join(dist, "probe-x86_64"))) execFileSync("sh", [join(root, "host/build/helper.sh"), dist]);
    built = copyOf(dist);
    execFileSync("sh", [join(root, "host/build/script.sh"), built]);
  }
  return built;
}

export function copyOf(folder: string): string {
  const copy = temporaryFolder();
  fs.cpSync(folder, copy, { recursive: true });
  return copy;
}

/** Makes the probe in a folder run this line of shell before what it does. */
export function replaceProbe(folder: string, line: string): void {
  const probe = join(folder, "probe-x86_64");
  fs.renameSync(probe, join(folder, "real-probe"));
  fs.writeFileSync(probe, `#!/bin/sh\n${line}\nexec ${join(folder, "real-probe")} "$@"\n`, { mode: 0o755 });
}

/** Runs a program to its end, in a process group of its own. */
export function run(
  command: string,
  args: readonly string[],
  env: Record<string, string> = {},
  input = "",
): Promise<Answer> {
  const line = there(command, args, env);
  return new Promise((done, failed) => {
    const child = spawn(line.command, line.args, {
      detached: true,
      env: { PATH: process.env.PATH ?? "", ...line.env },
    });
    const [out, err]: [Buffer[], Buffer[]] = [[], []];
    child.stdout.on("data", (data) => out.push(data));
    child.stderr.on("data", (data) => err.push(data));
    child.stdin.on("error", () => {});
    child.stdin.end(input);
    child.on("error", failed);
    child.on("close", (code, signal) =>
      done({ code, signal, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() }),
    );
  });
}

let made = 0;

/**
 * One installation with its own name, state directory and private cgroup. All of it is removed
 * after the test, also if the test failed.
 */
export class Host {
  readonly instance = `test-${process.pid}-${++made}`;
  readonly generation = createHash("sha256").update(this.instance).digest("hex").slice(0, 12);
  readonly nextGeneration = createHash("sha256").update(`next ${this.instance}`).digest("hex").slice(0, 12);
  readonly owner = "project/stack/component/web1";
  readonly stateDir = join(stateFolder(), "state");
  readonly home = join(this.stateDir, this.instance);
  readonly pins = join(pins, this.instance);
  readonly cgroup = `/${this.instance}`;
  readonly cgroupFolder = join(v2 ?? "", this.cgroup);
  bundle = bundle();
  /** A folder of stand-ins, which comes first on PATH. */
  toolFolder = temporaryFolder();
  readonly children: ReturnType<typeof spawn>[] = [];
  /**
   * It is off so that no program that listens on this machine causes a warning, and any kernel will
   * do.
   */
  spliceGuard = "off";
  /** Whether it outlives its test; whoever sets this must call `end`. */
  isKept = false;
  /** The methods of the splice guard that are tried; empty for all. */
  static spliceWays = "";

  constructor(readonly shell: Shell = "dash") {
    call("mkdir", this.cgroupFolder, join(this.cgroupFolder, "below"), `${this.cgroupFolder}-other`);
    hosts.push(this);
  }

  get env(): Record<string, string> {
    return {
      SOCKET_BYPASS_PATH: `${this.toolFolder}:${shellFolder(this.shell)}:/usr/sbin:/usr/bin:/sbin:/bin`,
      ...(Host.spliceWays === "" ? {} : { SOCKET_BYPASS_SPLICE_WAYS: Host.spliceWays }),
    };
  }

  get common(): string[] {
    return ["--instance", this.instance, "--state-dir", this.stateDir, "--owner", this.owner];
  }

  /** Runs any verb, such as `verb("map create")`. Flags given here override the usual ones. */
  verb(words: string, ...flags: string[]): Promise<Answer> {
    const create = /install|create|load|verdict attach|selftest|policy|apply|^attach/.test(words);
    const usual = [...this.common, ...(create ? ["--generation", this.generation] : [])];
    if (/install|apply|^attach|preflight/.test(words)) usual.push("--cgroup", this.cgroup);
    if (/install|apply/.test(words)) usual.push("--from", this.bundle);
    if (/selftest|apply|^attach/.test(words)) usual.push("--splice-guard", this.spliceGuard);
    return this.raw(...words.split(" "), ...usual, ...flags);
  }

  raw(...words: string[]): Promise<Answer> {
    send(this.bundle);
    return run(join(shellFolder(this.shell), "sh"), [join(this.bundle, "socket-bypass"), ...words], this.env);
  }

  /** Applies everything but the self-test, which takes a second. */
  apply(...flags: string[]): Promise<Answer> {
    return this.verb("apply", "--everything", "--off", "--drain-seconds", "1", ...flags);
  }

  async status(): Promise<Status> {
    return JSON.parse((await this.raw("status", "--json", ...this.common.slice(0, 4))).stdout);
  }

  /** Starts a program in the private cgroup, which ends with the test. */
  start(command: string, ...args: string[]): ReturnType<typeof spawn> {
    const line = 'echo $$ >"$0"/cgroup.procs && exec "$@"';
    const child = spawn("sh", ["-c", line, this.cgroupFolder, command, ...args], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.children.push(child);
    return child;
  }

  /** Lists what is left of this installation anywhere. */
  traces(): string[] {
    const link = "/usr/local/sbin/socket-bypass";
    return [
      ...(fs.existsSync(this.pins) ? fs.readdirSync(this.pins).map((name) => join(this.pins, name)) : []),
      ...(fs.existsSync(this.stateDir) ? fs.readdirSync(this.stateDir).map((name) => join(this.stateDir, name)) : []),
      ...(fs.existsSync(pins) ? fs.readdirSync(pins).filter((name) => name.startsWith("_try-")) : []),
      ...fs.readdirSync(v2 ?? "").filter((name) => /^socket-bypass-(selftest|apply)-\d/.test(name)),
      ...attachments(this.cgroupFolder),
      ...attachments(`${this.cgroupFolder}-other`),
      ...(readLink(link).startsWith(this.stateDir) ? [link] : []),
    ];
  }

  async end(): Promise<void> {
    const place = hosts.indexOf(this);
    if (place >= 0) hosts.splice(place, 1);
    for (const child of this.children.splice(0)) child.kill("SIGKILL");
    this.toolFolder = temporaryFolder();
    this.bundle = bundle();
    const removed = await this.raw("remove", ...this.common.slice(0, 4), "--drain-seconds", "0");
    if (removed.code !== 0) throw new Error(removed.stderr);
    for (const folder of ["/below", "", "-other"]) {
      for (let tries = 0; isThere(this.cgroupFolder + folder); tries++) {
        const isLast = tries > 50;
        try {
          call("rmdir", this.cgroupFolder + folder);
        } catch (error) {
          if (isLast) throw error;
          await new Promise((wake) => setTimeout(wake, 100));
        }
      }
    }
  }
}

const hosts: Host[] = [];
afterEach(async () => {
  for (const host of hosts.filter((host) => !host.isKept)) await host.end();
});

export interface Status {
  readonly instance: string;
  readonly owner: string;
  readonly declared: string;
  readonly serving: string;
  readonly current: string;
  readonly cgroup: string;
  readonly policy?: Record<string, unknown>;
  readonly epochs: Record<string, number>;
  readonly steps: Record<string, { readonly whole: boolean; readonly serial: number; readonly generation: string }>;
  readonly spliceGuard: {
    readonly declared: string;
    readonly method: string;
    readonly why: string;
    readonly waitall: boolean;
    readonly programs: readonly { readonly program: string; readonly kept: number; readonly refused: number }[];
  };
  readonly established: readonly { readonly ports: string; readonly connections: number }[];
  readonly unseen: string;
  readonly healthy: boolean;
  readonly problems: string[];
  readonly attached: { generation: string; flags: string; cgroup: string }[];
  readonly generations: {
    generation: string;
    drain: boolean;
    sockets: number;
    tap: { port: number; snaplen: number } | null;
    programs: Record<string, { id: number; name: string; tag: string }>;
    maps: Record<string, { id: number; type: string; entries: number }>;
    counters: Record<string, number>;
    ports: {
      readonly ports: string;
      readonly enrolled: number;
      readonly messages: { readonly bypass: number; readonly tcp: number };
      readonly bytes: { readonly bypass: number; readonly tcp: number };
    }[];
    notRedirected: Record<string, number>;
  }[];
}

/** The names of the sock_ops programs that are attached to a cgroup. */
export function attachments(folder: string): string[] {
  const { command, args } = there("bpftool", ["-j", "cgroup", "show", folder]);
  const answer = spawnSync(command, args, { encoding: "utf8" }).stdout.trim();
  return answer === "" || answer === "[]" ? [] : JSON.parse(answer).map((program: { name: string }) => program.name);
}

/** Puts something in the place of a pinned map that no map can be read from. */
export function makeUnreadable(pin: string): void {
  fs.rmSync(pin);
  fs.mkdirSync(pin);
}

export function readLink(path: string): string {
  try {
    return fs.readlinkSync(path);
  } catch {
    return "";
  }
}

/**
 * Installs a bpftool that records its calls (except `version`, which comes before the lock). At
 * call number `at` it fails, or kills the script's whole process group with SIGKILL before or after
 * it has done its work. Returns the file with the calls.
 */
export function faultyBpftool(host: Host, at: number, fault: "fail" | "kill before" | "kill after"): string {
  const calls = join(host.toolFolder, "calls");
  fs.writeFileSync(calls, "");
  const act = {
    fail: `echo '{"error":"injected"}'; exit 255`,
    "kill before": "kill -9 0",
    "kill after": '/usr/sbin/bpftool "$@"; kill -9 0',
  }[fault];
  writeTool(
    host,
    "bpftool",
    `[ "$1" = version ] && exec /usr/sbin/bpftool "$@"
echo "$*" >>${calls}
[ "$(grep -c . ${calls})" -ne ${at} ] || { ${act}; }
exec /usr/sbin/bpftool "$@"`,
  );
  return calls;
}

export function writeTool(host: Host, name: string, body: string): void {
  fs.writeFileSync(join(host.toolFolder, name), `#!/bin/sh\n${body}\n`, { mode: 0o755 });
}

export function removeTool(host: Host, name: string): void {
  fs.rmSync(join(host.toolFolder, name), { force: true });
}
