// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { expand, type Recording, type Series, seriesOf } from "./recording";

export interface Result {
  readonly metric: Readonly<Record<string, string>>;
  /** Pairs of a time and a number as text. */
  readonly values: readonly (readonly [number, string])[];
}

/** A real Prometheus on this machine, whose storage holds a recording that ends now. */
export class Prometheus {
  /** What ended it; pending as long as it runs. */
  private readonly ended: Promise<string>;

  private constructor(
    private readonly child: ChildProcess,
    private readonly folder: string,
    readonly url: string,
    /** When the recording begins and ends, in seconds. */
    readonly from: number,
    readonly to: number,
  ) {
    this.ended = new Promise((done) => {
      child.once("exit", (code, signal) => done(`ended with ${code ?? signal}`));
      // There is no such program, or no process to be had.
      child.once("error", (error) => done(`did not start: ${error.message}`));
    });
  }

  /** `more` are series beside the recorded ones; `pages` are console templates by their names. */
  static async start(
    recording: Recording,
    more: readonly Series[] = [],
    pages: Readonly<Record<string, string>> = {},
  ): Promise<Prometheus> {
    const folder = mkdtempSync(join(tmpdir(), "socket-bypass-prometheus-"));
    const to = Math.floor(Date.now() / 60_000) * 60;
    const from = to - (recording.scrapes - 1) * 60;
    const series = [...Object.keys(recording.hosts).flatMap((host) => [...seriesOf(recording, host)]), ...more];
    writeFileSync(join(folder, "recorded.txt"), asText(series, from));
    const data = join(folder, "data");
    execFileSync("promtool", ["tsdb", "create-blocks-from", "openmetrics", join(folder, "recorded.txt"), data]);
    const config = {
      global: { evaluation_interval: "1s" },
      rule_files: [resolve(__dirname, "../../monitoring/rules.yaml")],
    };
    writeFileSync(join(folder, "prometheus.json"), JSON.stringify(config));
    for (const [name, text] of Object.entries(pages)) writeFileSync(join(folder, name), text);
    const port = await freePort();
    const child = spawn(
      "prometheus",
      [
        `--config.file=${join(folder, "prometheus.json")}`,
        `--storage.tsdb.path=${data}`,
        `--web.listen-address=127.0.0.1:${port}`,
        `--web.console.templates=${folder}`,
        "--web.console.libraries=/usr/share/doc/prometheus/examples/console_libraries",
        "--log.level=warn",
      ],
      { stdio: ["ignore", "inherit", "inherit"] },
    );
    const its = new Prometheus(child, folder, `http://127.0.0.1:${port}`, from, to);
    try {
      await its.isReady();
    } catch (error) {
      await its.stop();
      throw error;
    }
    return its;
  }

  private async isReady(): Promise<void> {
    let end: string | undefined;
    this.ended.then((how) => {
      end = how;
    });
    for (const late = Date.now() + 60_000; ; await new Promise((wake) => setTimeout(wake, 100))) {
      const answer = await fetch(`${this.url}/-/ready`).catch(() => undefined);
      if (end !== undefined) throw new Error(`prometheus: expected it to be ready, found that it ${end}`);
      if (answer?.ok) return;
      if (Date.now() > late) throw new Error("prometheus: expected it to be ready within 60 s");
    }
  }

  async ask<T>(path: string, parameters: Readonly<Record<string, string>> = {}): Promise<T> {
    const answer = await fetch(`${this.url}/api/v1/${path}?${new URLSearchParams(parameters)}`);
    const said = (await answer.json()) as { status: string; error?: string; data: T };
    if (said.status !== "success") throw new Error(`prometheus: ${path}: ${said.error}`);
    return said.data;
  }

  /** Evaluates an expression over the whole recording. */
  async range(query: string): Promise<readonly Result[]> {
    const times = { start: `${this.from}`, end: `${this.to}`, step: "60" };
    return (await this.ask<{ result: Result[] }>("query_range", { query, ...times })).result;
  }

  async stop(): Promise<void> {
    this.child.kill("SIGTERM");
    await this.ended;
    rmSync(this.folder, { recursive: true });
  }
}

/** Writes samples with their times, a family at a time, as promtool reads them. */
function asText(series: readonly Series[], from: number): string {
  const families = new Map<string, string[]>();
  for (const { name, labels, values } of series) {
    const lines = families.get(name) ?? [];
    for (const [at, value] of expand(values).entries())
      if (value !== undefined) lines.push(`${name}{${labels}} ${value} ${from + at * 60}\n`);
    families.set(name, lines);
  }
  return `${[...families.values()].map((lines) => lines.join("")).join("")}# EOF\n`;
}

function freePort(): Promise<number> {
  return new Promise((done, failed) => {
    const server = createServer();
    server.once("error", failed);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => done(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}
