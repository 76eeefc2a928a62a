// SPDX-License-Identifier: Apache-2.0
/*
 * Real sockets over a private generation that the host script has installed on a private cgroup; see cases/ for what they do. The
 * machine is this one, or a virtual one with another kernel (test/kernels).
 *
 * Not proven here: other machines; weakly ordered CPUs; SNAT
 * and simultaneous open; io_uring, sendfile, splice, MSG_ZEROCOPY, MSG_OOB; FIONREAD and SO_RCVLOWAT (the self-test of the host
 * measures the first); readers under a memory limit and memory_pressure; conntrack timeouts under a long bypass; eviction from
 * `claims` and forged keys; another sockmap on the same sockets; 10,000 connections at once; speed.
 *
 * A limit of the kernel that the cases allow for and count (patiently() in cases/common.py): a blocking recv() of an enrolled socket
 * may return EAGAIN when a second thread reads from the same socket, or waits in a send on it.
 */
import { type ChildProcessWithoutNullStreams, execFileSync, spawn, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, expect, vi } from "vitest";
import { Host, lacking as hostLacking, root, temporaryFolder } from "../host/host.js";
import { call, isGuest, isThere, send, slowness, there } from "../host/machine.js";

const tools = ["python3", "clang-19", "ip", "nft", "nsenter"];
const lacking = hostLacking ?? tools.find((tool) => spawnSync("which", [tool]).status !== 0);
/** They fail in CI where something is missing, and are skipped elsewhere. */
export const isSkipped = lacking !== undefined && !process.env.CI;
if (lacking !== undefined) console.warn(`test/bpf: expected ${lacking}, found none`);

/** The names of the counters, in the order of enum counter. */
const names = [...fs.readFileSync(join(root, "bpf/socket_bypass.h"), "utf8").matchAll(/^\tCOUNT_([A-Z_]+),/gm)].map(
  ([, name = ""]) => name.toLowerCase(),
);

/** For longer runs of the streams: seconds in all, beyond the usual ones. */
export const extraSeconds = Number(process.env.SOCKET_BYPASS_TEST_SECONDS ?? 0);

const kernelLog = () => call("dmesg").trim().split("\n");
const logged = isSkipped ? [] : kernelLog();
afterAll(() => {
  if (isSkipped) return;
  const log = kernelLog();
  const complaint = /BUG|WARNING|Oops|refcount|KASAN|leak|hung|stall|RIP:|Call Trace|Out of memory|TCP: /i;
  expect(log.slice(log.lastIndexOf(logged.at(-1) ?? "") + 1).filter((line) => complaint.test(line))).toEqual([]);
});

const builds = new Map<string, string>();
afterAll(() => builds.clear());

/** A bundle whose objects were compiled with these thresholds. */
function bundleWith(host: Host, flags: readonly string[]): string {
  const key = flags.join(" ");
  const found = builds.get(key);
  if (found !== undefined) return found;
  const folder = temporaryFolder();
  fs.cpSync(host.bundle, folder, { recursive: true });
  if (flags.length > 0) execFileSync("sh", [join(root, "bpf/build.sh"), folder, ...flags]);
  builds.set(key, folder);
  return folder;
}

/** Switches every few messages and never leaves by itself. */
export const switching = [
  "-DQUEUE_BYTES=65536",
  "-DLOOK_MESSAGES=4",
  "-DLOOK_BYTES=8192",
  "-DSTRIKES=1000000000",
  "-DREFRESH_JIFFIES=2",
];
/** Leaves soon, in the middle of what is going on. */
export const leaving = [...switching.slice(0, 3), "-DSTRIKES=40", "-DSPILL_BYTES=3000000", "-DREFRESH_JIFFIES=50"];
/** Judges no service as too short. */
export const patient = ["-DSHORT_CONNECTIONS=1000000"];

interface Flow {
  readonly verdict: string;
  readonly unread: number;
  readonly mode: number;
}

/** One run of a case: `ready()` waits for its next line, `go()` answers it, `result()` is what it returned. */
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
/** In a virtual machine, where an installation takes half a minute: those that the next case may take over, by what they are made of. */
const spare = new Map<string, Datapath>();

// Runs before the hook of the hosts, which removes the cgroup.
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
  /** A verb has been called since: no other case can know what it finds. */
  isChanged = false;
  isDrained = false;
  private counted: Record<string, number> = {};

  private constructor(
    readonly key: string,
    readonly host: Host,
  ) {
    living.push(this);
  }

  /** With the script as it is told. */
  static async over(host: Host, ...flags: string[]): Promise<Datapath> {
    const path = new Datapath("", host);
    path.isChanged = true;
    await path.apply(...flags);
    return path;
  }

  /** Installed by the script, serving the private cgroup. Without flags for apply: everything is bypassed. */
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
    // busybox is one file without libraries, which is several times faster to start on an emulated processor.
    const path = new Datapath(key, new Host(isGuest ? "busybox" : "dash"));
    const everything = flags.includes("--ports") || flags.includes("--cidrs") ? [] : ["--everything"];
    path.host.bundle = bundleWith(path.host, thresholds);
    await path.apply(...everything, "--off", ...flags);
    return path;
  }

  /** Another instance, say the demo's, may have the whole host for a while: it is not ours to take over. */
  private async apply(...flags: string[]): Promise<void> {
    for (const end = Date.now() + 90_000 * slowness; ; await new Promise((wake) => setTimeout(wake, 500))) {
      const { code, stderr } = await this.host.verb("apply", ...flags);
      if (code === 0) return;
      if (!stderr.includes("expected no other instance") || Date.now() > end) throw new Error(`apply: ${stderr}`);
    }
  }

  async ok(words: string, ...flags: string[]): Promise<string> {
    this.isChanged = true;
    return await this.done(words, ...flags);
  }

  private async done(words: string, ...flags: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.host.verb(words, ...flags);
    if (code !== 0) throw new Error(`${words}: ${stderr}`);
    return stdout;
  }

  async drain(): Promise<string> {
    this.isDrained = true;
    return await this.done("drain", "--drain-seconds", `${3 * slowness}`);
  }

  async resume(): Promise<void> {
    await this.done("resume");
    this.isDrained = false;
  }

  /** `start("paths.veth", "server")`. It is bounded by its own clock, which tells where it hung. */
  start(name: string, ...args: (string | number)[]): Case {
    const cases = join(__dirname, "cases");
    const words = ["-B", join(cases, "run.py"), ...name.split("."), ...args.map(String)];
    const line = 'echo $$ >"$0"/cgroup.procs && exec python3 "$@"';
    send(cases);
    const {
      command,
      args: all,
      env,
    } = there("sh", ["-c", line, this.host.cgroupFolder, ...words], {
      OTHER_CGROUP: `${this.host.cgroupFolder}-other`,
      CASE_SECONDS: String((9 + extraSeconds) * slowness),
      SLOWNESS: `${slowness}`,
    });
    return new Case(spawn(command, all, { env: { ...process.env, ...env } }));
  }

  /** A case that needs no answers. */
  async play(name: string, ...args: (string | number)[]): Promise<Record<string, number>> {
    return await this.start(name, ...args).result();
  }

  /** The switch alone, without the sweep that follows in drain(). */
  setDrain(): void {
    this.isDrained = true;
    const words = ["map", "update", "pinned", this.pin("maps/knobs"), "key", "hex", ..."00 00 00 00".split(" ")];
    call("bpftool", ...words, "value", "hex", ..."01 00 00 00 00 00 00 00".split(" "));
  }

  private pin(name: string): string {
    return join(this.host.pins, this.host.generation, name);
  }

  /** Since the case began. */
  counters(): Record<string, number> {
    const total = this.total();
    // A verb of the case has made the maps anew.
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
    call("bpftool", "iter", "pin", join(this.host.bundle, "flows.bpf.o"), pin, "map", "pinned", this.pin("sockets"));
    try {
      const lines = call("cat", pin).trim().split("\n");
      return lines
        .filter((line) => line !== "")
        .map((line) => line.split(" "))
        .map(([, verdict = "", unread, mode]) => ({ verdict, unread: Number(unread), mode: Number(mode) }));
    } finally {
      call("rm", pin);
    }
  }
}

/** The last counts come when the sockets are closed for good, a moment after the case. */
export async function expectCounters(path: Datapath, expected: Record<string, unknown>): Promise<void> {
  await vi.waitFor(() => expect(path.counters()).toMatchObject(expected), {
    timeout: 3000 * slowness,
    interval: 100,
  });
}

export async function expectEmpty(path: Datapath): Promise<void> {
  await vi.waitFor(() => expect([path.sockets(), path.peers(), path.claims()]).toEqual([0, 0, 0]), {
    timeout: 3000 * slowness,
    interval: 100,
  });
}
