// SPDX-License-Identifier: Apache-2.0
// Records what `socket-bypass metrics` prints on real installations, one for each situation that an
// alert is about: `npx tsx test/monitoring/record.ts [--scrapes N] [--seconds N]`, as root, after
// `npm run build`. Takes three minutes. It writes recorded.json beside this file.
//
//   --scrapes N   scrapes of each installation (40)
//   --seconds N   between two scrapes (4); in the recording they are a minute apart
//   --bundle DIR  what is installed (dist/host)
import { writeFileSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { compact, type Recording } from "../../tools/monitoring/recording";
import { type Plot, Scene, type Scrape } from "./scene";

const guarded = ["--splice-guard", "auto"];
/** The second half begins with this scrape. */
const turn = 15;
const plots: Readonly<Record<string, Plot>> = {
  works: { traffic: "works", flags: guarded },
  mixed: { traffic: "mixed", flags: [...guarded, "--ports", "6379-6380,5432"] },
  quiet: { traffic: "quiet", acts: { [turn]: (scene) => scene.next() } },
  drained: { traffic: "works", acts: { [turn]: (scene) => scene.verb("drain") } },
  off: { traffic: "works", flags: ["--enabled", "false"] },
  crowded: { traffic: "crowded", flags: ["--sockets", "20"], acts: { [turn]: (scene) => scene.next() } },
  busy: { traffic: "comes", before: (scene) => scene.attachOther() },
  shared: { traffic: "shared", acts: { [turn]: (scene) => scene.next() } },
  deferred: { traffic: "deferred" },
  removed: { traffic: "works", by: "host", acts: { [turn]: (scene) => scene.verb("remove") } },
  stale: { traffic: "works", by: "file", acts: { [turn]: (scene) => (scene.isTimed = false) } },
  broken: { traffic: "works", by: "host", acts: { [turn]: (scene) => scene.breakCounters() } },
  refused: { traffic: "multipath" },
  unsupported: { by: "pod" },
  down: { traffic: "works", flags: guarded, by: "exporter", acts: { [turn]: (scene) => scene.stopExporter() } },
  doubtful: { traffic: "doubtful", acts: { [turn]: (scene) => scene.next() } },
};

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      scrapes: { type: "string", default: "40" },
      seconds: { type: "string", default: "4" },
      bundle: { type: "string", default: join(__dirname, "../../dist/host") },
    },
  });
  const [scrapes, seconds] = [Number(values.scrapes), Number(values.seconds)];
  const scenes = Object.entries(plots).map(([name, plot]) => new Scene(name, plot, values.bundle));
  const hosts: Record<string, Host> = {};
  try {
    for (const scene of scenes) await scene.begin();
    for (let at = 0; at < scrapes; at++) {
      const next = Date.now() + seconds * 1000;
      for (const scene of scenes) {
        await scene.plot.acts?.[at]?.(scene);
        hosts[scene.name] ??= new Host();
        hosts[scene.name]?.add(at, await scene.scrape());
      }
      process.stderr.write(`record: scrape ${at + 1} of ${scrapes}, ${Math.max(0, next - Date.now())} ms to spare\n`);
      await new Promise((wake) => setTimeout(wake, next - Date.now()));
    }
  } finally {
    for (const scene of scenes) await scene.end();
  }
  const recording: Recording = {
    command: `npx tsx test/monitoring/record.ts --scrapes ${scrapes} --seconds ${seconds}`,
    kernel: release(),
    scrapes,
    hosts: Object.fromEntries(Object.entries(hosts).map(([name, host]) => [name, host.byLabels(scrapes)])),
  };
  writeFileSync(join(__dirname, "recorded.json"), `${JSON.stringify(recording, null, 1)}\n`);
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
