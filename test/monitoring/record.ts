// SPDX-License-Identifier: Apache-2.0
// Records what `socket-bypass metrics` prints on real installations, one for each situation that an
// alert is about: `npx tsx test/monitoring/record.ts [--scrapes N] [--seconds N]`, as root, after
// `npm run build`. Takes a quarter of an hour. It writes recorded.json beside this file.
//
//   --scrapes N   scrapes of each installation (40)
//   --seconds N   at least, between two scrapes (4); in the recording they are a minute apart
//   --bundle DIR  what is installed (dist/host)
//   --only NAMES  of these hosts, with commas between; the others stay as they were recorded
//
// A host with a splice guard is recorded in a virtual machine, because not every kernel lets root
// load programs for it; how such a machine is made is in docs/contributing/testing.md.
import { execFile } from "node:child_process";
import * as fs from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import { parseArgs, promisify } from "node:util";
import { compact, type Recording } from "../../tools/monitoring/recording";
import { withGuest } from "../kernels/guest";
import { getImage, type Kernel } from "../kernels/image";
import { GuestScene } from "./guest-scene";
import { PodScene } from "./pod-scene";
import { type Plot, type Recorded, Scene, type Scrape } from "./scene";

const guarded = ["--splice-guard", "auto"];
/** The second half begins with this scrape. */
const turn = 15;
/** A kernel with a method for the splice guard. */
const guest: Kernel = { name: "debian13", architecture: "amd64", suite: "trixie" };
const plots: Readonly<Record<string, Plot>> = {
  works: { traffic: "works", flags: guarded },
  mixed: { traffic: "mixed", flags: [...guarded, "--ports", "6379-6380,5432"] },
  quiet: { traffic: "quiet", acts: { [turn]: (scene) => scene.next() } },
  drained: { traffic: "works", acts: { [turn]: (scene) => scene.verb("drain") } },
  off: { traffic: "works", flags: ["--enabled", "false"] },
  crowded: { traffic: "crowded", flags: ["--sockets", "20"], acts: { [turn]: (scene) => scene.next() } },
  busy: { traffic: "comes", before: (scene) => scene.attachOther(true) },
  shared: { traffic: "shared", acts: { [turn]: (scene) => scene.next() } },
  deferred: { traffic: "deferred" },
  removed: { traffic: "works", by: "host", acts: { [turn]: (scene) => scene.verb("remove") } },
  stale: { traffic: "works", by: "file", acts: { [turn]: (scene) => (scene.isTimed = false) } },
  broken: { traffic: "works", by: "host", acts: { [turn]: (scene) => scene.breakCounters() } },
  refused: { traffic: "multipath" },
  unsupported: { by: "pod" },
  down: { traffic: "works", flags: guarded, by: "exporter", acts: { [turn]: (scene) => scene.stopExporter() } },
  lost: { traffic: "works", acts: { [turn]: (scene) => scene.losePin() } },
  doubtful: { traffic: "doubtful", acts: { [turn]: (scene) => scene.next() } },
  failing: {
    traffic: "comes",
    before: (scene) => scene.attachOther(false),
    acts: { [turn]: (scene) => scene.emptySockhash(), [2 * turn]: (scene) => scene.emptySockhash() },
  },
};

const file = join(__dirname, "recorded.json");

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      scrapes: { type: "string", default: "40" },
      seconds: { type: "string", default: "4" },
      bundle: { type: "string", default: join(__dirname, "../../dist/host") },
      only: { type: "string" },
    },
  });
  const [scrapes, seconds] = [Number(values.scrapes), Number(values.seconds)];
  const before = values.only === undefined ? undefined : (JSON.parse(fs.readFileSync(file, "utf8")) as Recording);
  if (before !== undefined && before.scrapes !== scrapes)
    throw new Error(`--scrapes: expected ${before.scrapes}, as of the other hosts, found ${scrapes}`);
  const names = [...Object.keys(plots), "pool", "guarded"];
  const only = values.only?.split(",") ?? names;
  for (const name of only)
    if (!names.includes(name)) throw new Error(`--only: expected some of ${names.join(", ")}, found ${name}`);
  // Root runs what lies there, so nobody else may be able to write to any folder above it.
  const stateDir = fs.mkdtempSync("/var/lib/socket-bypass-record-");
  process.env.PATH = `${process.env.PATH}:/usr/sbin`;
  const reportOfAll = async () => {
    const words = [join(values.bundle, "socket-bypass"), "metrics", "--state-dir", stateDir];
    // It goes on without an instance that cannot be read, and fails at the end.
    return `${(await promisify(execFile)("sh", words).catch((error) => error)).stdout}`;
  };
  const hosts = new Map<string, Host>();
  const record = async (scenes: readonly Recorded[]) => {
    try {
      for (const scene of scenes) await scene.begin();
      for (let at = 0; at < scrapes; at++) {
        const next = Date.now() + seconds * 1000;
        for (const scene of scenes) await scene.act?.(at);
        let report: Promise<string> | undefined;
        for (const scene of scenes) {
          const host = hosts.get(scene.name) ?? new Host();
          host.add(at, await scene.scrape(() => (report ??= reportOfAll())));
          hosts.set(scene.name, host);
        }
        process.stderr.write(`record: scrape ${at + 1} of ${scrapes}, ${next - Date.now()} ms to spare\n`);
        await new Promise((wake) => setTimeout(wake, next - Date.now()));
      }
    } finally {
      for (const scene of scenes)
        await scene.end().catch((error) => {
          console.error(`record: ${scene.name}: ${error}`);
          process.exitCode = 1;
        });
    }
  };
  try {
    const chosen = Object.entries(plots).filter(([name]) => only.includes(name));
    const scenes = chosen.map(([name, plot]) => new Scene(name, plot, values.bundle, stateDir));
    await record([...scenes, ...(only.includes("pool") ? [new PodScene("pool", "multipath")] : [])]);
  } finally {
    // The last installation that is removed takes an empty one with it.
    fs.rmSync(stateDir, { recursive: true, force: true });
  }
  if (only.includes("guarded"))
    await withGuest(await getImage(guest, true), async ({ config }) => {
      await record([new GuestScene("guarded", "splices", config, values.bundle)]);
    });
  const recorded = Object.fromEntries([...hosts].map(([name, host]) => [name, host.byLabels(scrapes)]));
  const all = { ...before?.hosts, ...recorded };
  const recording: Recording = {
    command: `npx tsx test/monitoring/record.ts --scrapes ${scrapes} --seconds ${seconds}`,
    kernel: release(),
    scrapes,
    hosts: Object.fromEntries(names.flatMap((name) => (all[name] === undefined ? [] : [[name, all[name]]]))),
  };
  fs.writeFileSync(file, `${JSON.stringify(recording, null, 1)}\n`);
}

/** The series of one host. */
class Host {
  private readonly series = new Map<string, (number | undefined)[]>();
  private written = 0;
  private writtenAt = 0;

  /** Adds the samples of one scrape. */
  add(at: number, { text, written }: Scrape): void {
    this.put("up", at, text === undefined ? 0 : 1);
    if (text === undefined) return;
    if (written !== undefined) {
      if (written !== this.written) this.writtenAt = at;
      this.written = written;
      const file = "/var/lib/prometheus/node-exporter/socket-bypass.prom";
      this.put(`node_textfile_mtime_seconds{file="${file}"}`, at, this.writtenAt * 60);
    }
    for (const line of text.split("\n")) {
      if (line === "" || line.startsWith("#")) continue;
      const space = line.lastIndexOf(" ");
      // A scraper keeps the label `instance` for the address, and renames ours.
      this.put(line.slice(0, space).replace('{instance="', '{exported_instance="'), at, Number(line.slice(space + 1)));
    }
  }

  private put(key: string, at: number, value: number): void {
    const values = this.series.get(key) ?? [];
    values[at] = value;
    this.series.set(key, values);
  }

  byLabels(scrapes: number): Recording["hosts"][string] {
    const all: Record<string, Record<string, string>> = {};
    for (const [key, values] of this.series) {
      const [, name = "", labels = ""] = /^(\w+)(?:\{(.*)\})?$/.exec(key) ?? [];
      all[labels] = { ...all[labels], [name]: compact(values, scrapes) };
    }
    return all;
  }
}

void main();
