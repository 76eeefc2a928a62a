// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import type { Connection, Login } from "../../../src/index.js";
import { findMount } from "../../../tools/setup/mounts.js";

const v2 = findMount("cgroup2") ?? "";

/** What these tests need. If one is missing they fail in CI, and are skipped elsewhere. */
const tools = ["ip", "nsenter", "unshare", "bpftool", "ssh-keygen", "/usr/sbin/sshd"];
const lacking =
  process.getuid?.() !== 0
    ? "root"
    : v2 === ""
      ? "a cgroup2 mount"
      : tools.find((tool) => spawnSync(tool, ["-h"], { stdio: "ignore" }).error !== undefined);
export const isSkipped = lacking !== undefined && !process.env.CI;
if (lacking !== undefined) console.warn(`test/e2e/ssh: expected ${lacking}, found none`);

/** A key pair in a folder of its own; the private key is encrypted if a password is given. */
export interface Keys {
  readonly file: string;
  readonly privateKey: string;
  readonly publicKey: string;
}

export interface FarOptions {
  readonly user?: string;
  readonly shell?: string;
  readonly password?: string;
  readonly keys?: Keys;
  /** Lines of sshd_config that come first, so that they take precedence. */
  readonly config?: readonly string[];
  readonly sudoers?: string;
  readonly hostKeyType?: "ed25519" | "ecdsa";
  /** Whether it sees its own processes only; default: those of all machines. */
  readonly hasOwnProcesses?: boolean;
  /** The machine that this one is reached from; default: the one that runs the tests. */
  readonly behind?: Far;
}

let made = 0;
const all: Far[] = [];
const folders: string[] = [];
const ends: (() => unknown)[] = [];

/** Registers what to do after the file's tests, also if they failed. */
export function atEnd(end: () => unknown): void {
  ends.push(end);
}

afterAll(async () => {
  for (const end of ends.splice(0)) await end();
  for (const far of all.splice(0).reverse()) await far.end();
  for (const folder of folders.splice(0)) fs.rmSync(folder, { recursive: true, force: true });
});

export function makeFolder(): string {
  const folder = fs.mkdtempSync(join(tmpdir(), "socket-bypass-ssh-"));
  folders.push(folder);
  return folder;
}

export function makeKeys(type = "ed25519", password = ""): Keys {
  const file = join(makeFolder(), "key");
  execFileSync("ssh-keygen", ["-q", "-t", type, "-N", password, "-f", file]);
  return { file, privateKey: fs.readFileSync(file, "utf8"), publicKey: fs.readFileSync(`${file}.pub`, "utf8") };
}

/**
 * A separate machine with an sshd, see far.sh; it shares only this kernel. It is removed after the
 * file's tests, also if they failed.
 */
export class Far {
  readonly name: string;
  readonly address: string;
  private readonly near: string;
  private readonly folder = makeFolder();
  private readonly hostKeys: Keys;
  private readonly cgroup: string;
  private sshd: ChildProcess | undefined;
  private said = "";

  constructor(private readonly options: FarOptions = {}) {
    // test/support/sweep.ts recognizes this name after a run that was killed.
    this.name = `test-${process.pid}-far${++made}`;
    this.cgroup = join(v2, this.name);
    const net = `198.19.${process.pid % 256}`;
    this.address = `${net}.${made * 4 + 2}`;
    this.hostKeys = makeKeys(options.hostKeyType);
    all.push(this);
    this.near = `${net}.${made * 4 + 1}`;
    ip("netns", "add", this.name);
    const from = options.behind === undefined ? [] : ["-n", options.behind.name];
    const [near, far] = [`sb${process.pid % 100_000}n${made}`, `sb${process.pid % 100_000}f${made}`];
    ip(...from, "link", "add", near, "type", "veth", "peer", "name", far, "netns", this.name);
    ip(...from, "addr", "add", `${this.near}/30`, "dev", near);
    ip(...from, "link", "set", near, "up");
    ip("-n", this.name, "addr", "add", `${this.address}/30`, "dev", far);
    for (const device of ["lo", far]) ip("-n", this.name, "link", "set", device, "up");
    fs.mkdirSync(this.cgroup);
  }

  async start(): Promise<this> {
    const { user = "root", shell = "/bin/sh", password, keys, config = [], sudoers = "" } = this.options;
    const file = join(this.folder, "sshd_config");
    const authorized = join(this.folder, "authorized_keys");
    fs.chmodSync(this.folder, 0o755);
    fs.writeFileSync(authorized, keys?.publicKey ?? "");
    const lines = [
      ...config,
      `ListenAddress ${this.address}:22`,
      `HostKey ${this.hostKeys.file}`,
      `AuthorizedKeysFile ${authorized}`,
      "PermitRootLogin yes",
      `PasswordAuthentication ${password === undefined ? "no" : "yes"}`,
      ...["PidFile none", "StrictModes no", "UsePAM no", "UseDNS no", "MaxStartups 100"],
    ];
    fs.writeFileSync(file, `${lines.join("\n")}\n`);
    const hash =
      password === undefined ? "*" : execFileSync("perl", ["-e", "print crypt($ARGV[0], q($6$salt$))", password]);
    const words = [join(__dirname, "far.sh"), this.name, this.cgroup, file, user, shell, `${hash}`, sudoers];
    const env = { ...process.env, ...(this.options.hasOwnProcesses && { FAR_PROCESSES: "yes" }) };
    const sshd = spawn("sh", words, { stdio: ["ignore", "ignore", "pipe"], env });
    this.sshd = sshd;
    this.said = "";
    await new Promise<void>((done, fail) => {
      sshd.stderr.on("data", (chunk) => {
        this.said += chunk;
        if (this.said.includes("Server listening")) done();
      });
      sshd.once("exit", (code) => fail(new Error(`far.sh: expected sshd to listen, found exit ${code}: ${this.said}`)));
    });
    return this;
  }

  /** What sshd has logged, with a line for each login. */
  log(): string {
    return this.said;
  }

  /** The login that the options allow. */
  login(more: Partial<Login> = {}): Login {
    const { user = "root", password, keys } = this.options;
    return {
      host: this.address,
      user,
      hostKey: this.hostKeys.publicKey,
      ...(password === undefined ? {} : { password }),
      ...(keys === undefined ? {} : { privateKey: keys.privateKey }),
      ...more,
    };
  }

  connection(more: Partial<Connection> = {}): Connection {
    return this.login(more);
  }

  /** Silently drops everything that the machine sends. */
  unplug(): void {
    ip("-n", this.name, "route", "add", "blackhole", `${this.near}/32`);
  }

  plug(): void {
    ip("-n", this.name, "route", "del", "blackhole", `${this.near}/32`);
  }

  /** An address behind it, where nobody answers. */
  nobody(): string {
    const address = this.address.replace(/\d+$/, `${255 - made}`);
    ip("route", "add", `${address}/32`, "via", this.address);
    return address;
  }

  /** Runs a command on it without SSH. */
  run(...words: readonly string[]): string {
    return execFileSync("nsenter", [...this.enter(), ...words], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
    });
  }

  /** The arguments with which nsenter enters the machine. */
  enter(): string[] {
    const pid = this.sshd?.pid;
    if (!this.options.hasOwnProcesses) return ["-t", `${pid}`, "-m", "-n", "-C", "--"];
    return ["-t", fs.readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim(), "-m", "-n", "-C", "-p", "--"];
  }

  /** The output of `status` on it. */
  status(): {
    healthy: boolean;
    problems: string[];
    owner: string;
    instance: string;
    serving: string;
    policy: Record<string, unknown>;
    generations: { counters: Record<string, number> }[];
  }[] {
    return JSON.parse(
      this.run("sh", "-c", "for s in /var/lib/socket-bypass/*/socket-bypass; do exec sh $s status --json; done"),
    );
  }

  /** Lists what is left of the product on it. */
  traces(): string[] {
    const line =
      'ls -d /sys/fs/bpf/socket-bypass /var/lib/socket-bypass /usr/local/sbin/socket-bypass 2>/dev/null; bpftool cgroup show "$0"';
    return this.run("sh", "-c", line, v2)
      .split("\n")
      .filter((found) => found !== "");
  }

  /**
   * Ends the sshd, and with it everything in its mounts; `start` makes a new machine with the same
   * address.
   */
  async stop(): Promise<void> {
    const { sshd } = this;
    this.sshd = undefined;
    if (sshd === undefined) return;
    const kill = join(this.cgroup, "cgroup.kill");
    const ended =
      sshd.exitCode === null && sshd.signalCode === null ? new Promise((done) => sshd.once("exit", done)) : undefined;
    fs.writeFileSync(kill, "1");
    await ended;
  }

  async end(): Promise<void> {
    await this.stop();
    ip("netns", "del", this.name);
    const below = () => fs.readdirSync(this.cgroup, { withFileTypes: true }).filter((one) => one.isDirectory());
    for (let tries = 0; fs.existsSync(this.cgroup); tries++) {
      try {
        for (const { name } of below()) fs.rmdirSync(join(this.cgroup, name));
        fs.rmdirSync(this.cgroup);
      } catch (error) {
        if (tries === 50) throw error;
        await new Promise((wake) => setTimeout(wake, 100));
      }
    }
  }
}

function ip(...words: readonly string[]): void {
  execFileSync("ip", words, { stdio: ["ignore", "ignore", "pipe"] });
}
