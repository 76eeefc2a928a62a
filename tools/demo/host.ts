// SPDX-License-Identifier: Apache-2.0
import { existsSync } from "node:fs";
import { owner } from "./engine";
import { DemoError, run, runEvenWhenStopped } from "./run";

interface Status {
  readonly instance: string;
  readonly owner: string;
  readonly serving: string;
  readonly generations: readonly { readonly generation: string; readonly counters: Record<string, number> }[];
}

/** The installation of the demo's stack on this host; undefined if there is none. */
export async function findBypass(): Promise<Bypass | undefined> {
  const all = JSON.parse(await run("sh", ["dist/host/socket-bypass", "status", "--json"])) as Status[];
  const mine = all.find((one) => one.owner.startsWith(owner));
  return mine && new Bypass(mine.instance);
}

/** One installed bypass, which is controlled by the script that it installed. */
export class Bypass {
  private readonly script: string;

  constructor(readonly instance: string) {
    this.script = `/var/lib/socket-bypass/${instance}/socket-bypass`;
  }

  get removeCommand(): string {
    return `sh ${this.script} remove --instance ${this.instance}`;
  }

  /** The command with which a person looks at the status. */
  get statusCommand(): string {
    const link = "/usr/local/sbin/socket-bypass";
    return `${existsSync(link) ? "socket-bypass" : `sh ${this.script}`} status --instance ${this.instance}`;
  }

  /** How many messages have skipped the TCP/IP stack since this generation was loaded. */
  async redirected(): Promise<number> {
    const status = JSON.parse(
      await run("sh", [this.script, "status", "--json", "--instance", this.instance]),
    ) as Status;
    const messages = status.generations.find((one) => one.generation === status.serving)?.counters.redirected_messages;
    if (messages === undefined)
      throw new DemoError(`${this.instance}: expected it to be serving, found it is not; type: npm run down`);
    return messages;
  }

  /** Returns all connections, new ones too, to TCP. */
  async drain(): Promise<void> {
    await run("sh", [this.script, "drain", "--instance", this.instance]);
  }

  async resume(): Promise<void> {
    await runEvenWhenStopped("sh", [this.script, "resume", "--instance", this.instance]);
  }
}
