// SPDX-License-Identifier: Apache-2.0
import { spawn } from "node:child_process";
import * as fs from "node:fs";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { findEngine } from "../../pulumi/stack";
import { withCleanup } from "../../pulumi/with-cleanup.mjs";
import { Endpoints } from "./endpoints";
import { watchMemory } from "./memory";

const example = join(__dirname, "../../../examples/large-fleet/index.ts");
/** Of one sshd, each of which is a machine. */
const ports = 5;
const stacks = 10;

/**
 * Seconds, and at most how many MiB the program, its engine and their plugins had together, where
 * pages that they share count for each.
 */
export interface LargeResult {
  readonly machines: number;
  readonly stacks: number;
  readonly up: number;
  /** Of the slowest and the fastest stack. */
  readonly upOfStacks: readonly [number, number];
  readonly preview: number;
  readonly mostMiB: number;
}

/**
 * Runs examples/large-fleet for so many machines: up, and a preview without changes. What is
 * installed on its recorders is nothing, so nothing is destroyed.
 */
export async function measureLarge(machines: number, say: (text: string) => void): Promise<LargeResult> {
  const endpoints = new Endpoints();
  return await withCleanup(
    () => endpoints.close(),
    async () => {
      await endpoints.open(Math.ceil(machines / ports), ports);
      const { hostKey } = endpoints;
      const all = endpoints.addresses.flatMap((address) =>
        Array.from({ length: ports }, (_, at) => ({ address, port: 22 + at, hostKey })),
      );
      const list = Object.fromEntries(all.slice(0, machines).map((machine, at) => [`web${at}`, machine]));
      fs.writeFileSync(join(endpoints.folder, "machines.json"), JSON.stringify(list));
      const run = (verb: string) => runExample(endpoints, verb, say);
      const up = await run("up");
      const preview = await run("preview");
      return {
        ...{ machines, stacks, up: up.seconds, preview: preview.seconds },
        upOfStacks: [Math.max(...up.stacks), Math.min(...up.stacks)],
        mostMiB: Math.round(up.most),
      };
    },
  );
}

/**
 * The words and the environment of a run of examples/large-fleet on endpoints, for their
 * machines.json, with a backend beside that.
 */
export function exampleOn({ folder, key }: Endpoints, verb: string, count: number) {
  const { pulumi, env } = findEngine();
  const backend = join(folder, "backend");
  fs.mkdirSync(backend, { recursive: true });
  return {
    words: [example, verb, "--machines", join(folder, "machines.json"), "--key", key, "--stacks", `${count}`],
    env: {
      ...{ ...process.env, ...env, PATH: `${dirname(pulumi)}:${process.env.PATH}`, TMPDIR: folder },
      ...{ PULUMI_BACKEND_URL: `file://${backend}`, PULUMI_CONFIG_PASSPHRASE: "made for a while" },
      SOCKET_BYPASS_STAND_IN_ALLOW_REMOTE: "yes",
    },
  };
}

async function runExample(endpoints: Endpoints, verb: string, say: (text: string) => void) {
  const { words, env } = exampleOn(endpoints, verb, stacks);
  const started = performance.now();
  const child = spawn(process.execPath, [...process.execArgv, ...words], { stdio: ["ignore", "pipe", "inherit"], env });
  const memory = watchMemory(child.pid ?? 0);
  const ended = new Promise<number | null>((done, fail) => child.once("error", fail).once("exit", done));
  const seconds: number[] = [];
  for await (const line of createInterface(child.stdout)) {
    say(`${verb}: ${line}`);
    const [, taken, changes = ""] = / machines, (\d+) s, (\{.*\})$/.exec(line) ?? [];
    if (taken === undefined || (verb === "preview" && /create|update|delete|replace/.test(changes)))
      throw new Error(
        `examples/large-fleet ${verb}: expected a line for a stack, without changes in a preview, found ${line}`,
      );
    seconds.push(Number(taken));
  }
  const code = await ended;
  if (code !== 0) throw new Error(`examples/large-fleet ${verb}: expected exit 0, found ${code}`);
  const { most } = memory.stop();
  return { seconds: Math.round((performance.now() - started) / 1000), stacks: seconds, most };
}
