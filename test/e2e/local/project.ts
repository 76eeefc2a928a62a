// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathText } from "../../../src/args/validation/problem.js";
import { findEngine } from "../../../tools/pulumi/stack.js";

const root = resolve(__dirname, "../../..");

/** The result of one command of the engine: whether it succeeded, its output, and its event log. */
export interface Run {
  readonly ok: boolean;
  readonly said: string;
  readonly events: string;
}

/** A project whose program is mistakes.mjs, in a folder with its backend. */
export class Project {
  readonly folder = fs.mkdtempSync(join(tmpdir(), "socket-bypass-engine-"));

  /** `plugins` maps names of providers, besides this package, to their folders. */
  constructor(plugins: Record<string, string> = {}) {
    const lines = Object.entries({ "socket-bypass": root, ...plugins }).map(
      ([name, path]) => `    - { name: ${name}, path: ${path} }\n`,
    );
    const text = `name: secrets\nruntime: nodejs\nmain: mistakes.mjs\nplugins:\n  providers:\n${lines.join("")}`;
    this.write("Pulumi.yaml", text);
    fs.symlinkSync(join(__dirname, "mistakes.mjs"), join(this.folder, "mistakes.mjs"));
    fs.symlinkSync(join(root, "node_modules"), join(this.folder, "node_modules"));
    this.engine("stack", "init", "one", "--non-interactive");
  }

  write(name: string, text: string): void {
    fs.writeFileSync(join(this.folder, name), text);
  }

  /** Runs the program with the arguments of each component, by the component's name. */
  run(way: string, all: Record<string, unknown>, ...words: string[]): Run {
    this.write("mistakes.json", JSON.stringify({ way, all }));
    const events = join(this.folder, "events.json");
    const options = ["--stack", "one", "--non-interactive", "--event-log", events];
    const { status, said } = this.engine(...words, ...options);
    return { ok: status === 0, said, events: fs.readFileSync(events, "utf8") };
  }

  engine(...words: string[]): { readonly status: number | null; readonly said: string } {
    const { pulumi, env: its } = findEngine();
    const env = {
      ...{ ...process.env, ...its, PULUMI_BACKEND_URL: `file://${this.folder}` },
      PULUMI_CONFIG_PASSPHRASE: "made for a while",
      // A preview registers steps of hosts behind SSH.
      SOCKET_BYPASS_STAND_IN_ALLOW_REMOTE: "yes",
      // --event-log needs this.
      PULUMI_DEBUG_COMMANDS: "true",
    };
    const limits = { maxBuffer: 1 << 28, timeout: 240_000, killSignal: "SIGKILL" } as const;
    const { stdout, stderr, status } = spawnSync(pulumi, words, {
      ...{ cwd: this.folder, env, encoding: "utf8" },
      ...limits,
    });
    return { status, said: `${stdout}${stderr}` };
  }

  /** Everything that the backend has stored, as it is on disk. */
  kept(): string {
    const folder = join(this.folder, ".pulumi");
    const files = fs.readdirSync(folder, { recursive: true, encoding: "utf8" }).map((name) => join(folder, name));
    return files
      .filter((file) => fs.statSync(file).isFile())
      .map((file) => fs.readFileSync(file, "utf8"))
      .join("\n");
  }

  remove(): void {
    fs.rmSync(this.folder, { recursive: true, force: true });
  }
}

/**
 * The paths that were reported, by the names of the components; the CLI prints all of them in full
 * at its end.
 */
export function placesTold(said: string): Map<string, string[]> {
  const all = new Map<string, string[]>();
  for (const text of said.split(/ problems? in the arguments of SocketBypass "/).slice(1)) {
    const [start = "", ...lines] = text.split("\n");
    const name = start.replace(/":.*/, "");
    const places = lines.flatMap((line) => line.match(/^ +(\S.*?): expected /)?.[1] ?? []);
    all.set(name, [...(all.get(name) ?? []), ...places]);
  }
  return all;
}

/** Whether a reported path is this place, or inside it. */
export function isAt(place: readonly string[]): (told: string) => boolean {
  const start = pathText(place.map((key) => (/^[0-9]+$/.test(key) ? Number(key) : key)));
  return (told) => told === start || told.startsWith(`${start}.`) || told.startsWith(`${start}[`);
}
