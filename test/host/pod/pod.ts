// SPDX-License-Identifier: Apache-2.0
// Long: one pod with all that a kubelet would do for it.
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { findMount } from "../../../tools/setup/mounts.js";

const root = resolve(__dirname, "../../..");
export const machine = process.arch === "arm64" ? "aarch64" : "x86_64";
const v2 = findMount("cgroup2") ?? "";

const tools = ["bpftool", "busybox", "setpriv", "unshare", "nsenter", "ip", "curl"];
const lacking =
  process.getuid?.() !== 0
    ? "root"
    : v2 === ""
      ? "a cgroup2 mount"
      : tools.find((tool) => spawnSync(tool, ["--version"], { stdio: "ignore" }).error !== undefined);
export const isSkipped = lacking !== undefined && !process.env.CI;
if (lacking !== undefined) console.warn(`test/host/pod: expected ${lacking}, found none`);

export const generations = ["aaaaaaaaaaaa", "bbbbbbbbbbbb"] as const;
const instance = "pool";
const flags = [
  "--cgroup",
  "/",
  "--everything",
  "--splice-guard",
  "off",
  "--sockets",
  "4096",
  "--pending",
  "1024",
  "--timeout",
  "30",
];

let made = 0;
const nodes: Node[] = [];
/** Ends what the nodes made so far have left. */
export async function endNodes(): Promise<void> {
  for (const node of nodes.splice(0)) await node.end();
}

/** What a pod sees of its node: a bpffs and a tree of cgroups, both made by the test. */
export class Node {
  readonly folder = fs.mkdtempSync(join(tmpdir(), "socket-bypass-pod-"));
  readonly group = join(v2, `test-${process.pid}-pod-${++made}`);
  readonly bpffs = join(this.folder, "bpffs");
  readonly pins = join(this.bpffs, "socket-bypass", instance);
  readonly pods: Pod[] = [];
  /** Mount options of the state folder of pods that start from now on. */
  stateOptions = "";

  constructor(hasBpffs = true) {
    nodes.push(this);
    fs.mkdirSync(this.group);
    fs.mkdirSync(this.bpffs);
    if (hasBpffs) execFileSync("mount", ["-t", "bpf", "-o", "mode=0700", "bpf", this.bpffs]);
    fs.mkdirSync(join(this.folder, "files"));
    const packed = join(root, "dist/host/pod");
    for (const name of fs.readdirSync(packed)) {
      if (!/^(adopt|splice_(x86|arm64))/.test(name))
        fs.copyFileSync(join(packed, name), join(this.folder, "files", name));
    }
    for (const text of ["pod/pod.sh", "script/lib/mounts.sh"])
      fs.copyFileSync(join(root, "host", text), join(this.folder, "files", basename(text)));
  }

  /** Changes a file of the pods that start from now on. */
  change(name: string, change: (content: string) => string): void {
    const file = join(this.folder, "files", `${name}.gz`);
    const content = gunzipSync(fs.readFileSync(file)).toString("latin1");
    fs.writeFileSync(file, gzipSync(Buffer.from(change(content), "latin1")));
  }

  /** Makes each report of pods that start from now on run these words first. */
  beforeReports(words: string): void {
    const line = `case " $* " in *" metrics "*) ${words} ;; esac`;
    this.change("socket-bypass", (script) => script.replace(/^set -u$/m, `set -u\n${line}\n`));
  }

  /** Makes the self-test of pods that start from now on find a fault. */
  breakSelfTest(): void {
    this.change(`probe-${machine}`, () => {
      const answer = '{"ok":false,"cases":{"ipv4":{"ok":false,"error":"wrong byte"}},"facts":{}}';
      const real = `/state/files/real-probe`;
      const unpacked = `[ -x ${real} ] || { gzip -dc /opt/socket-bypass/real.gz >${real}; chmod 700 ${real}; }`;
      return `#!/bin/sh\n[ "$1" != selftest ] || { echo '${answer}'; exit 1; }\n${unpacked}\nexec ${real} "$@"\n`;
    });
    fs.copyFileSync(join(root, "dist/host/pod", `probe-${machine}.gz`), join(this.folder, "files/real.gz"));
  }

  start(uid: string, generation: string, ...more: string[]): Pod {
    const pod = new Pod(this, uid, generation, more);
    this.pods.push(pod);
    return pod;
  }

  record(name: string): string {
    try {
      return fs.readlinkSync(join(this.pins, name));
    } catch {
      return "";
    }
  }

  /** Lists what is left of any pod. */
  traces(): string[] {
    // The records are links that lead nowhere. The folder is a mount of the pod, so the pod cannot
    // remove it.
    const kept = ["!", "-name", "*.debug", "!", "-path", join(this.bpffs, "socket-bypass")];
    const found = execFileSync("find", [this.bpffs, "-mindepth", "1", ...kept], { encoding: "utf8" });
    const pinned = found.split("\n").filter(Boolean).sort();
    return [...pinned, ...this.attached().map((id) => `program ${id}`)];
  }

  /** The IDs of the sock_ops programs on the node's root cgroup. */
  attached(): number[] {
    const answer = execFileSync("bpftool", ["-j", "cgroup", "show", this.group], { encoding: "utf8" }).trim();
    return answer === "" ? [] : JSON.parse(answer).map(({ id }: { id: number }) => id);
  }

  async end(): Promise<void> {
    for (const pod of this.pods) await pod.kill();
    const group = this.group;
    spawnSync("sh", [
      "-c",
      `for p in ${this.pins}/*/track; do bpftool cgroup detach ${group} sock_ops pinned $p; done`,
    ]);
    spawnSync("umount", [this.bpffs], { stdio: "ignore" });
    for (let tries = 0; fs.existsSync(group); tries++) {
      spawnSync("find", [group, "-depth", "-type", "d", "-exec", "rmdir", "{}", ";"], { stdio: "ignore" });
      if (tries === 50) throw new Error(`${group}: expected it to be empty, found it is not`);
      await pause(100);
    }
    fs.rmSync(this.folder, { recursive: true, force: true });
  }
}

export class Pod {
  said = "";
  readonly owner: string;
  /** The exit status of its first process. */
  readonly ended: Promise<number | null>;
  private readonly child: ChildProcess;

  constructor(
    private readonly node: Node,
    private readonly uid: string,
    private readonly generation: string,
    more: readonly string[],
  ) {
    this.owner = `project/stack/edge/pool/${uid}`;
    const words = [join(__dirname, "container.sh"), node.folder, node.group, uid];
    this.child = spawn("sh", [...words, "sh", "/opt/socket-bypass/pod.sh", "start", ...flags, ...more], {
      env: { ...process.env, ...this.environment(generation), STATE_OPTIONS: node.stateOptions },
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [this.child.stdout, this.child.stderr]) stream?.on("data", (chunk) => (this.said += chunk));
    this.ended = new Promise((done) => this.child.once("close", (code) => done(code)));
  }

  private environment(generation: string): Record<string, string> {
    return {
      ...{ INSTANCE: instance, GENERATION: generation, OWNER: "project/stack/edge/pool" },
      ...{ DRAIN_SECONDS: "1", POD_UID: this.uid },
    };
  }

  /** Waits until the pod is ready; throws if it has ended. */
  async ready(): Promise<void> {
    await until("the pod to be ready", async () => {
      if (this.child.exitCode !== null) throw new Error(`expected the pod to serve, found: ${this.said}`);
      return this.health().startsWith("0 ");
    });
  }

  /** Gives the exit status and the text of the kubelet's probes. */
  health(): string {
    const { code, stdout } = this.exec(this.generation, "sh", "/opt/socket-bypass/pod.sh", "health");
    return `${code} ${stdout.trimEnd()}`;
  }

  /** The processes of the container with their names, by their PIDs outside the container. */
  processes(): Map<number, string> {
    const space = (pid: number | string) => {
      try {
        return fs.readlinkSync(`/proc/${pid}/ns/pid`);
      } catch {
        return "";
      }
    };
    const own = space(this.init);
    const found = fs.readdirSync("/proc").filter((name) => /^\d+$/.test(name) && space(name) === own);
    return new Map(found.map((pid) => [Number(pid), nameOf(pid)]));
  }

  /** The PID, outside the container, of its unprivileged server, which answers strangers. */
  front(): number {
    const parent = `${this.init}`;
    const child = [...this.processes()].find(
      ([pid, name]) => name.startsWith("probe-") && fieldOf(pid, "PPid") === parent,
    );
    return child?.[0] ?? 0;
  }

  /** The PID, outside the container, of its first process. */
  get init(): number {
    const children = fs.readFileSync(`/proc/${this.child.pid}/task/${this.child.pid}/children`, "utf8").trim();
    return Number(children.split(" ")[0] ?? "");
  }

  /** Gives the HTTP status and the text; "000 " if nobody listens. */
  ask(path: string, ...words: string[]): string {
    const line = ["-t", `${this.init}`, "-n", "curl", "-s", "-m", "20", "-w", "%{http_code}", ...words];
    const { stdout } = spawnSync("nsenter", [...line, `http://127.0.0.1:8080${path}`], { encoding: "utf8" });
    const lines = stdout.trimEnd().split("\n");
    return `${lines.pop()} ${lines.join("\n")}`;
  }

  /** Runs a command as `kubectl exec` does. */
  exec(generation: string, ...command: string[]): { code: number | null; stdout: string; stderr: string } {
    const words = ["-t", `${this.init}`, "-m", "-n", "-p", "-C", "-r", "-w", "--"];
    const env = Object.entries({ ...this.environment(generation), PATH: "/usr/sbin:/usr/bin:/sbin:/bin" });
    const caps = [
      "/usr/sbin/setpriv",
      "--no-new-privs",
      "--inh-caps=-all",
      "--bounding-set=-all,+bpf,+net_admin,+perfmon",
    ];
    const all = [
      ...words,
      "/usr/bin/env",
      "-i",
      ...env.map(([name, value]) => `${name}=${value}`),
      ...caps,
      ...command,
    ];
    const { status, stdout, stderr } = spawnSync("nsenter", all, { encoding: "utf8" });
    return { code: status, stdout, stderr };
  }

  stop(generation: string) {
    return this.exec(generation, "sh", "/opt/socket-bypass/pod.sh", "stop");
  }

  /** The termination message that the kubelet would show. */
  get message(): string {
    return fs.readFileSync(join(this.node.folder, `${this.uid}.message`), "utf8");
  }

  signal(signal: NodeJS.Signals): void {
    process.kill(this.init, signal);
  }

  async kill(): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill("SIGKILL");
    await this.ended;
  }
}

function nameOf(pid: string): string {
  try {
    return fs.readFileSync(`/proc/${pid}/comm`, "utf8").trim();
  } catch {
    return "";
  }
}

/** Gives a field of the status of a process, or "" if it is gone. */
export function fieldOf(pid: number, name: string): string {
  try {
    const status = fs.readFileSync(`/proc/${pid}/status`, "utf8");
    return new RegExp(`^${name}:\\s*(.*)$`, "m").exec(status)?.[1] ?? "";
  } catch {
    return "";
  }
}

/** Gives the CPU ticks of a process, including those of children that it has waited for. */
export function ticksOf(pid: number): number {
  const after = fs.readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1] ?? "";
  return after
    .split(" ")
    .slice(11, 15)
    .map(Number)
    .reduce((sum, one) => sum + one, 0);
}

export function pause(ms: number): Promise<void> {
  return new Promise((wake) => setTimeout(wake, ms));
}

export async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; !(await isSo()); tries++) {
    if (tries === 600) throw new Error(`expected ${what} within 60 s, found it false`);
    await pause(100);
  }
}
