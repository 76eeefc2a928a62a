// SPDX-License-Identifier: Apache-2.0
// Long: the life of one installation, which all cases share.
/*
 * Runs cases with real sockets (cases/) over a private generation that the host script has
 * installed on a private cgroup, on this machine or on a virtual one with another kernel
 * (test/kernels).
 *
 * Not proven here: other machine types; weakly ordered CPUs; a memory limit of cgroup v2 where the
 * memory controller is in v1 (memory.test.ts); kTLS where the kernel has none; RTT_CB of a program
 * attached after ours (beside.test.ts); speed.
 *
 * The cases allow for a limit of the kernel and count it (patiently() in cases/common.py): a
 * blocking recv() of an enrolled socket may return EAGAIN when a second thread reads from the same
 * socket, or waits in a send on it.
 */
import { type ChildProcessWithoutNullStreams, execFileSync, spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, expect, vi } from "vitest";
import { Host, lacking as hostLacking, root, temporaryFolder } from "../support/host.js";
import { amount, call, isGuest, isThere, send, slowness, there } from "../support/machine.js";
import { findFaults, linesSince } from "./kernel-log.js";

const tools = ["python3", "clang-19", "ip", "nft", "nsenter"];
const lacking = hostLacking ?? tools.find((tool) => spawnSync("which", [tool]).status !== 0);
/** If a tool is missing, the tests fail in CI and are skipped elsewhere. */
export const isSkipped = lacking !== undefined && !process.env.CI;
if (lacking !== undefined) console.warn(`test/bpf: expected ${lacking}, found none`);

/** The names of the counters, in the order of `enum counter`. */
const names = [...fs.readFileSync(join(root, "bpf/socket_bypass.h"), "utf8").matchAll(/^\tCOUNT_([A-Z_]+),/gm)].map(
  ([, name = ""]) => name.toLowerCase(),
);

/** How many seconds longer than usual the streams run. */
export const extraSeconds = Number(process.env.SOCKET_BYPASS_TEST_SECONDS ?? 0);

const kernelLog = () => call("dmesg").trim().split("\n");
const logged = isSkipped ? [] : kernelLog();
afterAll(() => {
  if (!isSkipped) expect(findFaults(linesSince(logged, kernelLog()))).toEqual([]);
});

const builds = new Map<string, string>();
afterAll(() => builds.clear());

/** Gives the folder of a bundle whose objects are compiled with these flags. */
export function bundleWith(host: Host, flags: readonly string[]): string {
  const key = flags.join(" ");
  const found = builds.get(key);
  if (found !== undefined) return found;
  const folder = temporaryFolder();
  fs.cpSync(host.bundle, folder, { recursive: true });
  if (flags.length > 0) fs.cpSync(objectsWith(flags), folder, { recursive: true });
  builds.set(key, folder);
  return folder;
}

/**
 * Compiles the objects, or takes those that an earlier file of this run of all tests has compiled.
 */
function objectsWith(flags: readonly string[]): string {
  const kept = join(
    process.env.SOCKET_BYPASS_TEST_SCRATCH ?? temporaryFolder(),
    `objects-${digestOf(flags.join(" "))}`,
  );
  if (!fs.existsSync(kept)) {
    execFileSync("sh", [join(root, "bpf/build.sh"), `${kept}.${process.pid}`, ...flags]);
    fs.renameSync(`${kept}.${process.pid}`, kept);
  }
  return kept;
}

function digestOf(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}

const programs = new Map<string, string>();
afterAll(() => programs.clear());

/** Compiles the C sources of a folder beside this file together with those of common/. */
export function compileProgram(name: string): string {
  const found = programs.get(name);
  if (found !== undefined) return found;
  const program = join(temporaryFolder(), name);
  const sources = ["common", name].flatMap((part) => {
    const folder = join(__dirname, part);
    return fs
      .readdirSync(folder)
      .filter((file) => file.endsWith(".c"))
      .map((file) => join(folder, file));
  });
  execFileSync("clang-19", ["-O2", "-g", "-Wall", "-Wextra", "-Werror", "-pthread", "-o", program, ...sources]);
  programs.set(name, program);
  return program;
}

/**
 * Enrols connections of a deferring listener even on a kernel whose FIONREAD is wrong, for cases
 * that do not use FIONREAD.
 */
export const trusting = ["-DTRUST_FIONREAD"];
/** Switches every few messages and never leaves by itself. */
export const switching = [
  "-DQUEUE_BYTES=65536",
  "-DLOOK_MESSAGES=4",
  "-DLOOK_BYTES=8192",
  "-DSTRIKES=1000000000",
  "-DSPILL_MESSAGES=1000000000",
  "-DREFRESH_JIFFIES=2",
  ...trusting,
];
/** Leaves soon, in the middle of the traffic. */
export const leaving = [
  ...switching.slice(0, 3),
  "-DSTRIKES=40",
  `-DSPILL_BYTES=${amount(3_000_000)}`,
  "-DREFRESH_JIFFIES=50",
  ...trusting,
];
/** Takes no service's connections for too short. */
export const patient = ["-DSHORT_CONNECTIONS=1000000"];

interface Flow {
  readonly verdict: string;
  readonly unread: number;
  readonly mode: number;
  readonly why: string;
}

/**
 * One run of a case. `ready()` waits for its next line, `go()` answers that line, and `result()`
 * waits for the end and gives what the case returned.
 */
export class Case {
  private text = "";
  private errors = "";
  private readonly ended: Promise<number | null>;
  private read = 0;

  constructor(private readonly child: ChildProcessWithoutNullStreams) {
    child.stdout.on("data", (data) => {
      this.text += data;
    });
    child.stderr.on("data", (data) => {
      this.errors += data;
    });
    child.stdin.on("error", () => {});
    this.ended = new Promise((done) => child.on("close", done));
  }

  private async line(): Promise<string> {
    let code: number | null | undefined;
    void this.ended.then((value) => {
      code = value ?? -1;
    });
    for (;;) {
      const lines = this.text.split("\n");
      if (lines.length > this.read + 1) return lines[this.read++] ?? "";
      if (code !== undefined) throw new Error(`the case ended with ${code}\n${this.errors}`);
      await new Promise((wake) => setTimeout(wake, 5));
    }
  }

  async ready(): Promise<string> {
    return await this.line();
  }

  lastLine(): string {
    return this.text.trimEnd().split("\n").at(-1) ?? "";
  }

  /** Waits this long, and throws at once if the case fails. */
  async during(ms: number): Promise<void> {
    const code = await Promise.race([this.ended, new Promise<null>((wake) => setTimeout(() => wake(null), ms))]);
    if (code) throw new Error(`the case ended with ${code}\n${this.errors}`);
  }

  stop(): void {
    this.child.kill("SIGTERM");
  }

  go(): void {
    this.child.stdin.write("go\n");
  }

  async result(): Promise<Record<string, number>> {
    const code = await this.ended;
    if (code !== 0) throw new Error(`the case ended with ${code}\n${this.errors}`);
    return JSON.parse(this.text.trim().split("\n").at(-1) ?? "");
  }
}

const living: Datapath[] = [];
/**
 * Installations that the next case may reuse, by their thresholds and flags; kept in a virtual
 * machine only, where an installation takes half a minute.
 */
const spare = new Map<string, Datapath>();

// Runs before the hook in test/support/host.ts, which removes the cgroup.
afterEach(async ({ task }) => {
  for (const path of living.splice(0)) {
    killAll(path.host);
    if (isGuest && !path.isChanged && task.result?.state !== "fail" && !spare.has(path.key)) {
      if (path.isDrained) await path.resume();
      path.host.isKept = true;
      spare.set(path.key, path);
    } else {
      await end(path.host);
    }
  }
});
afterAll(async () => {
  for (const { host } of spare.values()) await end(host);
  spare.clear();
});

function killAll(host: Host): void {
  for (const end of ["", "-other"]) call("sh", "-c", 'echo 1 >"$0"', `${host.cgroupFolder}${end}/cgroup.kill`);
}

async function end(host: Host): Promise<void> {
  await host.end();
  expect([host.pins, host.home, host.cgroupFolder].filter((place) => isThere(place))).toEqual([]);
}

function dump<Row>(pin: string): Row[] {
  return JSON.parse(call("bpftool", "-j", "map", "dump", "pinned", pin));
}

export class Datapath {
  /** A verb has been called since the installation, so no other case may reuse it. */
  isChanged = false;
  isDrained = false;
  private counted: Record<string, number> = {};
  /** A case that runs longer hangs. */
  caseSeconds = 60;

  private constructor(
    readonly key: string,
    readonly host: Host,
  ) {
    living.push(this);
  }

  /** Runs `apply` with exactly these flags. */
  static async over(host: Host, ...flags: string[]): Promise<Datapath> {
    const path = new Datapath("", host);
    path.isChanged = true;
    await path.done("apply", ...flags);
    return path;
  }

  /**
   * Installs a generation on the private cgroup, or reuses one. Unless flags say otherwise, every
   * port is bypassed, with the splice guard if the kernel can have it.
   */
  static async make(thresholds: readonly string[] = [], ...flags: string[]): Promise<Datapath> {
    const key = JSON.stringify([thresholds, flags]);
    const kept = spare.get(key);
    if (kept !== undefined) {
      spare.delete(key);
      kept.host.isKept = false;
      living.push(kept);
      await expectEmpty(kept);
      kept.counted = kept.total();
      return kept;
    }
    const path = Datapath.prepare(thresholds, key);
    await path.install(...flags);
    return path;
  }

  static prepare(thresholds: readonly string[] = [], key = ""): Datapath {
    // busybox is one file without libraries, which starts several times faster on an emulated
    // processor.
    const path = new Datapath(key, new Host(isGuest ? "busybox" : "dash"));
    path.host.spliceGuard = "auto";
    path.isChanged = key === "";
    path.host.bundle = bundleWith(path.host, thresholds);
    return path;
  }

  async install(...flags: string[]): Promise<void> {
    const ports = flags.includes("--ports") || flags.includes("--cidrs") ? [] : ["--ports", "1-65535"];
    await this.done("apply", ...ports, "--off", ...flags);
  }

  async ok(words: string, ...flags: string[]): Promise<string> {
    this.isChanged = true;
    return await this.done(words, ...flags);
  }

  private async done(words: string, ...flags: string[]): Promise<string> {
    // Another instance, such as the demo's, may have the whole host or the lock for a while.
    // Neither is ours to take over, so this waits.
    for (const end = Date.now() + 300_000 * slowness; ; await new Promise((wake) => setTimeout(wake, 500))) {
      const { code, stdout, stderr } = await this.host.verb(words, ...flags);
      if (code === 0) return stdout;
      if (!/expected no other instance|not free within/.test(stderr) || Date.now() > end)
        throw new Error(`${words}: ${stderr}`);
    }
  }

  async drain(): Promise<string> {
    this.isDrained = true;
    return await this.done("drain", "--drain-seconds", `${3 * slowness}`);
  }

  async resume(): Promise<void> {
    await this.done("resume");
    this.isDrained = false;
  }

  /**
   * As in `start("paths.veth", "server")`. The case has its own time limit, which reports where it
   * hung.
   */
  start(name: string, ...args: (string | number)[]): Case {
    const cases = join(__dirname, "cases");
    send(cases);
    return this.startProgram("python3", "-B", join(cases, "run.py"), ...name.split("."), ...args.map(String));
  }

  /** Starts a program inside the private cgroup. It is killed with the cgroup. */
  startProgram(...words: string[]): Case {
    const line = 'echo $$ >"$0"/cgroup.procs && exec "$@"';
    const started = there("sh", ["-c", line, this.host.cgroupFolder, ...words], {
      OTHER_CGROUP: `${this.host.cgroupFolder}-other`,
      CASE_SECONDS: String((this.caseSeconds + extraSeconds) * slowness),
      SLOWNESS: `${slowness}`,
    });
    return new Case(spawn(started.command, started.args, { env: { ...process.env, ...started.env } }));
  }

  /** Runs a case that needs no answers. */
  async play(name: string, ...args: (string | number)[]): Promise<Record<string, number>> {
    return await this.start(name, ...args).result();
  }

  /** Sets the drain knob alone, without the sweep that drain() does next. */
  setDrain(): void {
    this.isDrained = true;
    this.setKnob(0, 1);
  }

  /**
   * Makes the programs assume that FIONREAD of an enrolled socket counts what came over TCP, or
   * does not.
   */
  setUnread(isRight: boolean): void {
    this.isChanged = true;
    this.setKnob(5, isRight ? 1 : 0);
  }

  /** Says whether it does, as the host script has found out. */
  isUnreadRight(): boolean {
    const rows = dump<{ formatted: { key: number; value: number } }>(this.pin("maps/knobs"));
    return rows.find(({ formatted }) => formatted.key === 5)?.formatted.value === 1;
  }

  private setKnob(knob: number, value: number): void {
    const words = ["map", "update", "pinned", this.pin("maps/knobs"), "key", `${knob}`, ..."0 0 0".split(" ")];
    call("bpftool", ...words, "value", `${value}`, ..."0 0 0 0 0 0 0".split(" "));
  }

  private pin(name: string, generation = this.host.generation): string {
    return join(this.host.pins, generation, name);
  }

  /** Counts the entries of the maps of sockets, peers and claims. */
  entries(generation: string): number[] {
    return ["sockets", "maps/peers", "claims"].map((name) => dump(this.pin(name, generation)).length);
  }

  /** Gives the kernel's IDs of all maps of a generation. */
  mapIds(generation: string): number[] {
    const pins = [this.pin("sockets", generation), this.pin("claims", generation)];
    const folder = this.pin("maps", generation);
    for (const name of call("ls", folder).trim().split("\n")) pins.push(join(folder, name));
    return pins.map((pin) => JSON.parse(call("bpftool", "-j", "map", "show", "pinned", pin)).id);
  }

  /** Gives the counters, counted from the beginning of the case. */
  counters(): Record<string, number> {
    const total = this.total();
    // If a verb of the case has made the maps again, they count from 0.
    if (Object.entries(this.counted).some(([name, value]) => (total[name] ?? 0) < value)) this.counted = {};
    return Object.fromEntries(Object.entries(total).map(([name, value]) => [name, value - (this.counted[name] ?? 0)]));
  }

  private total(): Record<string, number> {
    const rows = dump<{ formatted: { key: number; values: { value: number }[] } }>(this.pin("maps/counters"));
    return Object.fromEntries(
      rows.map(({ formatted: { key, values } }) => [names[key], values.reduce((sum, { value }) => sum + value, 0)]),
    );
  }

  sockets(): number {
    return dump(this.pin("sockets")).length;
  }

  peers(): number {
    return dump(this.pin("maps/peers")).length;
  }

  claims(): number {
    return dump(this.pin("claims")).length;
  }

  flows(): Flow[] {
    const pin = `${this.host.pins}/flows-test`;
    const reused = Object.entries({ sockets: "sockets", peers: "maps/peers" }).flatMap(([name, pin]) =>
      `map name ${name} pinned ${this.pin(pin)}`.split(" "),
    );
    const object = join(this.host.bundle, "flows.bpf.o");
    call("bpftool", "prog", "load", object, pin, "type", "classifier", ...reused);
    try {
      const lines = call(
        "sh",
        "-c",
        'exec "$0-$(uname -m)" list "$@"',
        join(this.host.bundle, "probe"),
        pin,
        this.pin("sockets"),
      )
        .trim()
        .split("\n");
      return lines
        .filter((line) => line !== "")
        .map((line) => line.split(" "))
        .map(([, verdict = "", unread, mode, , , , , , , , why = ""]) => ({
          verdict,
          unread: Number(unread),
          mode: Number(mode),
          why,
        }));
    } finally {
      call("rm", pin);
    }
  }
}

/**
 * Waits for these counters: the last counts come when the kernel frees the sockets, a moment after
 * the case.
 */
export async function expectCounters(path: Datapath, expected: Record<string, unknown>): Promise<void> {
  await vi.waitFor(() => expect(path.counters()).toMatchObject(expected), {
    timeout: 30_000 * slowness,
    interval: 100,
  });
}

export async function expectEmpty(path: Datapath, generation = path.host.generation): Promise<void> {
  await vi.waitFor(
    () => {
      expect(path.entries(generation)).toEqual([0, 0, 0]);
      expect(strayFeeds()).toEqual([]);
    },
    { timeout: 30_000 * slowness },
  );
}

/**
 * Gives the cookies in the splice guard's `feeds` that no instance of this machine has enrolled.
 */
function strayFeeds(): string[] {
  const cookies = (pin: string) => dump<{ key: string[] }>(pin).map(({ key }) => key.slice(0, 6).join(""));
  const list = "for pin in /sys/fs/bpf/socket-bypass/*/*/sockets; do echo $pin; done";
  const pins = call("sh", "-c", list).trim().split("\n");
  const feeds = cookies("/sys/fs/bpf/socket-bypass/_splice/maps/feeds").filter((cookie) => !/^(0x00)+$/.test(cookie));
  const enrolled = new Set(pins.flatMap(cookies));
  return feeds.filter((cookie) => !enrolled.has(cookie));
}

/**
 * Gives the bytes of unreclaimable kernel memory, without those of connections in TIME_WAIT, which
 * any program leaves behind.
 */
export function kernelMemory(): number {
  const slab = /^SUnreclaim: +(\d+) kB/m.exec(fs.readFileSync("/proc/meminfo", "utf8"))?.[1];
  const waiting = /^TCP: .* tw (\d+)/m.exec(fs.readFileSync("/proc/net/sockstat", "utf8"))?.[1];
  return Number(slab) * 1024 - Number(waiting) * 320;
}
