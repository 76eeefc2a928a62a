// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, execFile, execFileSync, spawn } from "node:child_process";
import * as fs from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { basename, join } from "node:path";
import { promisify } from "node:util";
import { findMount } from "../../tools/setup/mounts";

export const generation = "0123456789ab";
/** Flags of `apply` in each scene on a host. */
export const usual = ["--ports", "6379,5432", "--off", "--boot", "false", "--drain-seconds", "1"] as const;
/** Runs "$@" in the cgroup "$0" and a network namespace of its own. */
export const inCgroup = `echo $$ >"$0/cgroup.procs" && exec unshare -n sh -c 'ip link set lo up && exec "$@"' sh "$@"`;

/** What happens on a host while it is recorded. */
export interface Plot {
  /** The function of traffic.py, if there is traffic. */
  readonly traffic?: string;
  /** Flags of `apply` beside the usual ones. */
  readonly flags?: readonly string[];
  /** Runs before the traffic begins. */
  readonly before?: (scene: Scene) => void;
  /**
   * How it is scraped. "file": by what node-exporter reads; "host": as one of all instances, one of
   * which may be missing or broken; "pod": at the port of a pod on a kernel that is not supported;
   * "exporter": at a port where somebody may stop listening. Default: by itself.
   */
  readonly by?: "file" | "host" | "pod" | "exporter";
  /** What is done before the scrape of that number. */
  readonly acts?: Readonly<Record<number, (scene: Scene) => Promise<unknown> | unknown>>;
}

export interface Scrape {
  /** Absent if nobody answers. */
  readonly text?: string;
  /** When the file was written, if it comes from one. */
  readonly written?: number;
}

/** One installation that is recorded. */
export interface Recorded {
  /** The host in the recording. */
  readonly name: string;
  begin(): Promise<void>;
  /** Does what belongs before the scrape of that number. */
  act?(at: number): Promise<void>;
  /** `reportOfAll` gives what `metrics` prints of all installations of this machine. */
  scrape(reportOfAll: () => Promise<string>): Promise<Scrape>;
  end(): Promise<void>;
}

const podPort = 18480;

/** One real installation on this machine, in a cgroup and with traffic of its own. */
export class Scene implements Recorded {
  readonly instance: string;
  readonly cgroup: string;
  readonly pins: string;
  private readonly folder: string;
  private readonly ends: (() => void)[] = [];
  private traffic: ChildProcess | undefined;
  private exporter: Server | undefined;
  private exporterUrl = "";
  /** Whether the timer runs that writes the file of `metrics`. */
  isTimed = true;

  constructor(
    readonly name: string,
    readonly plot: Plot,
    /** The folder of what is installed. */
    private readonly bundle: string,
    /** The state directory of all scenes. */
    private readonly stateDir: string,
  ) {
    const v2 = findMount("cgroup2");
    if (v2 === undefined) throw new Error("record: expected a cgroup2 mount, found none");
    this.instance = `recorded-${name}`;
    this.cgroup = join(v2, this.instance);
    this.pins = join("/sys/fs/bpf/socket-bypass", this.instance);
    this.folder = fs.mkdtempSync(join(stateDir, `../${basename(stateDir)}-${name}-`));
  }

  /** Runs a verb of the host script for this installation. */
  async verb(...words: string[]): Promise<string> {
    const common = ["--instance", this.instance, "--state-dir", this.stateDir, "--owner", "recording"];
    return (await promisify(execFile)("sh", [join(this.bundle, "socket-bypass"), ...words, ...common])).stdout;
  }

  async begin(): Promise<void> {
    if (this.plot.by === "pod") {
      const probe = `for-pods/probe-${process.arch === "arm64" ? "aarch64" : "x86_64"}`;
      this.traffic = spawn(join(this.bundle, probe), ["unsupported", `${podPort}`, "/bin/true"], { stdio: "inherit" });
      return;
    }
    fs.mkdirSync(this.cgroup);
    const flags = ["--generation", generation, "--cgroup", `/${this.instance}`, ...usual];
    const { plot } = this;
    await this.verb("apply", ...flags, ...(plot.flags ?? []));
    plot.before?.(this);
    if (plot.by === "exporter") await this.serve();
    if (plot.traffic === undefined) return;
    const words = ["python3", join(__dirname, "traffic.py"), plot.traffic];
    this.traffic = spawn("sh", ["-c", inCgroup, this.cgroup, ...words], { stdio: ["pipe", "inherit", "inherit"] });
  }

  async act(at: number): Promise<void> {
    await this.plot.acts?.[at]?.(this);
  }

  /** Begins the next phase of the traffic. */
  next(): void {
    if (this.traffic?.exitCode !== null) throw new Error(`${this.name}: expected traffic, found that it has ended`);
    this.traffic.stdin?.write("next\n");
  }

  private async serve(): Promise<void> {
    const exporter = createServer(async (_, answer) => answer.end(await this.verb("metrics")));
    await new Promise<void>((done) => exporter.listen(0, "127.0.0.1", done));
    this.exporter = exporter;
    this.exporterUrl = `http://127.0.0.1:${(exporter.address() as AddressInfo).port}/metrics`;
  }

  stopExporter(): void {
    this.exporter?.close();
    this.exporter?.closeAllConnections();
  }

  /** What a scraper gets. */
  async scrape(reportOfAll: () => Promise<string>): Promise<Scrape> {
    if (this.plot.by === "pod") return { text: await (await fetch(`http://127.0.0.1:${podPort}/metrics`)).text() };
    if (this.plot.by === "file") return await this.scrapeFile();
    if (this.plot.by === "exporter") return await this.scrapeExporter();
    if (this.plot.by === "host") return { text: this.linesOf(await reportOfAll()) };
    return { text: await this.verb("metrics") };
  }

  /** What the report of all installations says of this one: nothing once it is removed. */
  private linesOf(report: string): string {
    const lines = report.split("\n");
    return lines.filter((line) => line.includes(`{instance="${this.instance}"`)).join("\n");
  }

  private async scrapeExporter(): Promise<Scrape> {
    try {
      return { text: await (await fetch(this.exporterUrl)).text() };
    } catch (error) {
      // What fetch says of a port where nobody listens.
      if (error instanceof TypeError && !this.exporter?.listening) return {};
      throw error;
    }
  }

  private async scrapeFile(): Promise<Scrape> {
    const file = join(this.folder, "socket-bypass.prom");
    if (this.isTimed) await this.verb("metrics", "--textfile", this.folder);
    return { text: fs.readFileSync(file, "utf8"), written: fs.statSync(file).mtimeMs };
  }

  /**
   * Loads a program with a sockmap of its own and attaches it before ours, as another product
   * would. A socket can be in several sockmaps, but only in one with a verdict.
   */
  attachOther(hasVerdict: boolean): void {
    const [object, theirs] = [join(this.folder, "other.o"), `${this.pins}-other`];
    const include = `/usr/include/${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux-gnu`;
    const flags = ["-target", "bpfel", "-mcpu=v2", "-O2", "-g", "-idirafter", include, "-c", "-o", object];
    execFileSync("clang-19", [...flags, join(__dirname, "other.bpf.c")]);
    const bpftool = (...words: string[]) => execFileSync("/usr/sbin/bpftool", words);
    const hook = (act: string, pin: string) =>
      bpftool("cgroup", act, this.cgroup, "sock_ops", "pinned", pin, ...(act === "attach" ? ["multi"] : []));
    const ours = join(this.pins, generation, "track");
    fs.mkdirSync(theirs);
    this.ends.push(() => fs.rmSync(theirs, { recursive: true }));
    bpftool("prog", "loadall", object, join(theirs, "progs"), "pinmaps", join(theirs, "maps"));
    const [verdict, map] = [join(theirs, "progs/pass"), join(theirs, "maps/theirs")];
    if (hasVerdict) bpftool("prog", "attach", "pinned", verdict, "msg_verdict", "pinned", map);
    hook("detach", ours);
    hook("attach", join(theirs, "progs/take"));
    this.ends.push(() => hook("detach", join(theirs, "progs/take")));
    hook("attach", ours);
  }

  /**
   * Takes each socket out of our sockhash, as somebody may who finds its pin. A program that sends
   * to such a socket sees that another sockmap still holds it and redirects, which the kernel
   * refuses.
   */
  emptySockhash(): void {
    const pin = ["pinned", join(this.pins, generation, "sockets")];
    const dump = execFileSync("/usr/sbin/bpftool", ["-j", "map", "dump", ...pin], { encoding: "utf8" });
    for (const { key } of JSON.parse(dump) as { key: string[] }[])
      execFileSync("/usr/sbin/bpftool", ["map", "delete", ...pin, "key", ...key]);
  }

  /** Takes away a pin that no counter is read from. */
  losePin(): void {
    fs.rmSync(join(this.pins, generation, "maps/taps"));
  }

  /** Puts something in the place of a pin from which no counters can be read. */
  breakCounters(): void {
    const pin = join(this.pins, generation, "maps/counters");
    fs.rmSync(pin);
    fs.mkdirSync(pin);
  }

  async end(): Promise<void> {
    this.stopExporter();
    this.traffic?.kill("SIGKILL");
    if (fs.existsSync(this.cgroup)) fs.writeFileSync(join(this.cgroup, "cgroup.kill"), "1");
    for (const end of this.ends.splice(0).reverse()) end();
    await this.verb("remove", "--drain-seconds", "0");
    // The kernel takes a moment to bury the processes.
    for (let tries = 0; fs.existsSync(this.cgroup); tries++) {
      try {
        fs.rmdirSync(this.cgroup);
      } catch (error) {
        if (tries > 50) throw error;
        await new Promise((wake) => setTimeout(wake, 100));
      }
    }
    fs.rmSync(this.folder, { recursive: true });
  }
}
