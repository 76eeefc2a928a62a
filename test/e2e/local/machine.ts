// SPDX-License-Identifier: Apache-2.0
// Long: one stack on this machine, from its program to its traffic.
import { execFileSync, spawn, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import type { ComponentResourceOptions } from "@pulumi/pulumi";
import type { PreviewOptions, Stack, UpOptions } from "@pulumi/pulumi/automation/index.js";
import { afterEach, expect, vi } from "vitest";
import { identify } from "../../../src/commands/identity.js";
import { SocketBypass, type SocketBypassArgs } from "../../../src/index.js";
import { createStack } from "../../../tools/pulumi/stack.js";
import { findMount } from "../../../tools/setup/mounts.js";
import type { Status } from "../../support/host.js";
import { type Changes, type Ended, follow, type OnEvent, type RunFailed, stepWithout } from "./follow.js";

const root = resolve(__dirname, "../../..");
const script = join(root, "dist/host/socket-bypass");
const pins = "/sys/fs/bpf/socket-bypass";
const v2 = findMount("cgroup2") ?? "";

/** What these tests lack here, or undefined. Then they fail in CI, and are skipped elsewhere. */
const lacking =
  process.getuid?.() !== 0
    ? "root"
    : v2 === ""
      ? "a cgroup2 mount"
      : ["bpftool", "dash"].find((tool) => spawnSync(tool, ["version"], { stdio: "ignore" }).error !== undefined);
export const isSkipped = lacking !== undefined && !process.env.CI;
if (lacking !== undefined) console.warn(`test/e2e/local: expected ${lacking}, found none`);

/** The steps of a host, in the order in which they run. */
export const steps = [
  ...["object", "map-sockets", "program-track", "program-redirect", "verdict"],
  ...["selftest", "policy", "attachment"],
];

export type Args = Partial<SocketBypassArgs>;
let made = 0;

/**
 * A private cgroup, state directory and stack on this machine. All of it is removed after the test,
 * also if the test failed.
 */
export class Machine {
  /** The name of the project. */
  readonly project: string = "engine-test";
  readonly stackName: string;
  readonly cgroup: string;
  readonly folder: string;
  readonly stateDir: string;
  readonly toolFolder: string;
  /** Arguments of the component; a test changes them between one run and the next. */
  args: SocketBypassArgs;
  opts: ComponentResourceOptions = {};
  /** The name of the component; "front" after a rename. */
  component: "edge" | "front" = "edge";
  /** What the program does first. */
  beforeProgram: () => unknown = () => undefined;
  private readonly children: ReturnType<typeof spawn>[] = [];
  private readonly keys = new Set(["web"]);
  private stack: Stack | undefined;
  /** The methods of the splice guard that are tried; empty for all. */
  spliceWays = "";

  constructor(neighbour?: Machine) {
    this.stackName = `t${process.pid}-${++made}`;
    this.cgroup = neighbour?.cgroup ?? `/socket-bypass-engine-${this.stackName}`;
    this.folder = fs.mkdtempSync(join(tmpdir(), "socket-bypass-engine-"));
    this.stateDir = neighbour?.stateDir ?? `/var/lib/socket-bypass-engine-${this.stackName}`;
    this.toolFolder = join(this.folder, "tools");
    fs.mkdirSync(this.toolFolder);
    fs.mkdirSync(join(this.folder, "backend"));
    fs.mkdirSync(this.cgroupFolder(), { recursive: true });
    fs.mkdirSync(this.cgroupFolder("-other"), { recursive: true });
    this.args = {
      hosts: { web: { local: true, stateDir: this.stateDir } },
      cgroup: this.cgroup,
      traffic: { everything: true },
      // Any kernel will do, and programs that listen here cause no warning.
      spliceGuard: "off",
      // The self-test takes a second, so only the tests that are about it turn it on.
      selfTest: { enabled: false },
    };
    machines.push(this);
  }

  cgroupFolder(suffix = ""): string {
    return join(v2, `${this.cgroup}${suffix}`);
  }

  instance(key = "web"): string {
    const given = this.args.hosts?.[key]?.instance;
    return identify([this.project, this.stackName, this.component, key], given).instance;
  }

  pins(key = "web"): string {
    return join(pins, this.instance(key));
  }

  owner(key = "web"): string {
    return `${this.project}/${this.stackName}/${this.component}/${key}`;
  }

  async open(): Promise<Stack> {
    if (this.stack !== undefined) return this.stack;
    const program = async () => {
      this.beforeProgram();
      const { hosts, generation, advice } = new SocketBypass(this.component, this.args, this.opts);
      return { hosts, generation, advice };
    };
    this.stack = await createStack({ projectName: this.project, stackName: this.stackName, program }, this.folder, {
      SOCKET_BYPASS_PATH: `${this.toolFolder}:/usr/sbin:/usr/bin:/sbin:/bin`,
      ...(this.spliceWays === "" ? {} : { SOCKET_BYPASS_SPLICE_WAYS: this.spliceWays }),
    });
    return this.stack;
  }

  preview = (options: PreviewOptions = {}) => this.act((stack, onEvent) => stack.preview({ ...options, onEvent }));
  up = (options: UpOptions = {}) => this.act((stack, onEvent) => stack.up({ ...options, onEvent }));
  destroy = () => this.act((stack, onEvent) => stack.destroy({ onEvent }));

  /** Returns the messages of a run that must fail. */
  async failure(run: Promise<Ended>): Promise<string> {
    const { said } = await run.then(
      () => expect.fail("expected the run to fail, and it succeeded"),
      (error: RunFailed) => error,
    );
    return said;
  }

  private async act(run: (stack: Stack, onEvent: OnEvent) => Promise<unknown>): Promise<Ended> {
    for (const key of Object.keys(this.args.hosts ?? {})) this.keys.add(key);
    const stack = await this.open();
    return await follow((onEvent) => run(stack, onEvent), stepWithout(/^(edge|front)-((web|here)-)?/));
  }

  async exported(): Promise<Resource[]> {
    const { deployment } = await (await this.open()).exportStack();
    return deployment.resources ?? [];
  }

  /**
   * The state as it is in the backend; an export by the Automation API has its secrets decrypted.
   */
  stateFile(): string {
    const path = join(this.folder, `backend/.pulumi/stacks/${this.project}`, `${this.stackName}.json`);
    return fs.readFileSync(path, "utf8");
  }

  status(key = "web"): Status {
    const words = [script, "status", "--json", "--instance", this.instance(key), "--state-dir", this.stateDir];
    return JSON.parse(execFileSync("sh", words, { encoding: "utf8" })) as Status;
  }

  /** Runs a verb by hand. */
  host(...verb: string[]): void {
    const words = [script, ...verb, "--instance", this.instance(), "--state-dir", this.stateDir];
    execFileSync("sh", words, { stdio: "ignore" });
  }

  /** The sum of a counter over all generations. */
  counter(name: string): number {
    return this.status().generations.reduce((sum, { counters }) => sum + (counters[name] ?? 0), 0);
  }

  generation(): string {
    return this.status().serving;
  }

  /** Lists what is left of this installation anywhere. */
  traces(): string[] {
    return [
      ...[...this.keys].map((key) => this.pins(key)).filter((folder) => fs.existsSync(folder)),
      ...(fs.existsSync(this.stateDir) ? fs.readdirSync(this.stateDir).map((name) => join(this.stateDir, name)) : []),
      ...attachments(this.cgroupFolder()),
      ...attachments(this.cgroupFolder("-other")),
    ];
  }

  /** Waits for runs of the host script that the engine has left behind. */
  async idle(): Promise<void> {
    const isRunning = () => spawnSync("pgrep", ["-f", "--", `--instance ${this.instance()} `]).status === 0;
    await vi.waitFor(() => expect(isRunning()).toBe(false), { timeout: 20_000, interval: 100 });
  }

  /** Writes a tool that the host script finds before the real one. */
  writeTool(name: string, body: string): void {
    fs.writeFileSync(join(this.toolFolder, name), `#!/bin/sh\n${body}\n`, { mode: 0o755 });
  }

  removeTool(name: string): void {
    fs.rmSync(join(this.toolFolder, name), { force: true });
  }

  /** Starts a program in the cgroup, which ends with the test. */
  start(...words: string[]) {
    const line = 'echo $$ >"$0"/cgroup.procs && exec "$@"';
    const child = spawn("sh", ["-c", line, this.cgroupFolder(), ...words], { stdio: ["pipe", "pipe", "inherit"] });
    this.children.push(child);
    return child;
  }

  /** Starts a process in the cgroup that connects to itself on two free ports. */
  async startTraffic(): Promise<Traffic> {
    const child = this.start(process.execPath, join(__dirname, "traffic.mjs"));
    const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const ask = async (request: string) => {
      child.stdin.write(`${request}\n`);
      return String((await answers.next()).value);
    };
    const [first = "", second = ""] = (await ask("ports")).split(" ");
    return { ask, ports: [first, second] };
  }

  async end(): Promise<void> {
    for (const child of this.children.splice(0)) child.kill("SIGKILL");
    for (const key of this.keys) {
      const words = [script, "remove", "--instance", this.instance(key), "--state-dir", this.stateDir];
      spawnSync("sh", [...words, "--force", "--drain-seconds", "0"], { stdio: "ignore" });
    }
    for (const folder of [this.cgroupFolder(), this.cgroupFolder("-other")]) {
      for (let tries = 0; fs.existsSync(folder) && tries < 50; tries++) {
        try {
          fs.rmdirSync(folder);
        } catch {
          await new Promise((wake) => setTimeout(wake, 100));
        }
      }
    }
    fs.rmSync(this.folder, { recursive: true, force: true });
    fs.rmSync(this.stateDir, { recursive: true, force: true });
  }
}

export interface Traffic {
  readonly ask: (request: string) => Promise<string>;
  readonly ports: readonly [string, string];
}

export interface Resource {
  readonly urn: string;
  readonly type: string;
  readonly inputs?: Record<string, unknown>;
  readonly outputs?: Record<string, unknown>;
}

const machines: Machine[] = [];
afterEach(async () => {
  // The latest ends first, because a neighbour uses the folders of an earlier one.
  for (const machine of machines.splice(0).reverse()) await machine.end();
});

/** The names of the sock_ops programs that are attached to a cgroup. */
export function attachments(folder: string): string[] {
  const answer = spawnSync("bpftool", ["-j", "cgroup", "show", folder], { encoding: "utf8" }).stdout.trim();
  return answer === "" || answer === "[]" ? [] : JSON.parse(answer).map((program: { name: string }) => program.name);
}

/** The same operation for every step. */
export function each(op: string, names: readonly string[] = steps): Changes {
  return Object.fromEntries(names.map((name) => [name, op]));
}
