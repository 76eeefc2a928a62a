// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathText } from "../../../src/args/validation/problem.js";
import { findEngine } from "../../../tools/pulumi/stack.js";

const root = resolve(__dirname, "../../..");

/**
 * What an engine was asked once: whether it went well, and all that it has said and written down.
 */
export interface Run {
  readonly ok: boolean;
  readonly said: string;
  readonly events: string;
}

/** A project with mistakes.mjs for its program, in a folder with its backend. */
export class Project {
  readonly folder = fs.mkdtempSync(join(tmpdir(), "socket-bypass-engine-"));

  /** With `plugins`, folders of providers by their names, beside this package. */
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

  /** The program with these arguments, by the name of the component that has them. */
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
      // Without it there is no --event-log.
      PULUMI_DEBUG_COMMANDS: "true",
    };
    const limits = { maxBuffer: 1 << 28, timeout: 240_000, killSignal: "SIGKILL" } as const;
    const { stdout, stderr, status } = spawnSync(pulumi, words, {
      ...{ cwd: this.folder, env, encoding: "utf8" },
      ...limits,
    });
    return { status, said: `${stdout}${stderr}` };
  }

  /** All that the backend keeps, as it keeps it. */
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
 * The places that components were told of, by the names of the components; the CLI says all of them
 * in full at its end.
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

/** Whether what is told is this place, or one inside it. */
export function isAt(place: readonly string[]): (told: string) => boolean {
  const start = pathText(place.map((key) => (/^[0-9]+$/.test(key) ? Number(key) : key)));
  return (told) => told === start || told.startsWith(`${start}.`) || told.startsWith(`${start}[`);
}
