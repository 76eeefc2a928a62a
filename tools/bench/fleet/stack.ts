// SPDX-License-Identifier: Apache-2.0
// A stack of many hosts, from up to destroy, in a process that does nothing else: main.ts starts it.
import * as fs from "node:fs";
import { join } from "node:path";
import { SocketBypass } from "../../../src/index";
import { createStack } from "../../pulumi/stack";
import { parallel } from "./runs";

export interface Asked {
  /** Where the stack may write. */
  readonly folder: string;
  readonly addresses: readonly string[];
  readonly hostKey: string;
  readonly privateKey: string;
  readonly hasCheckpoints: boolean;
}

/** In seconds, MiB and bytes. */
export interface Measured {
  readonly up: number;
  readonly preview: number;
  readonly destroy: number;
  readonly peakMiB: number;
  readonly peaks: Readonly<Record<string, number>>;
  readonly stateBytes: number;
}

async function measure({ folder, addresses, hostKey, privateKey, hasCheckpoints }: Asked): Promise<Measured> {
  const connection = { user: "root", privateKey, hostKey };
  const hosts = Object.fromEntries(
    addresses.map((host, number) => [`web${number}`, { connection: { ...connection, host } }]),
  );
  const program = async () => {
    new SocketBypass("edge", { hosts, traffic: { ports: ["6379"] } });
  };
  fs.mkdirSync(join(folder, "backend"));
  const stack = await createStack({ projectName: "fleet", stackName: "bench", program }, folder, {
    SOCKET_BYPASS_STAND_IN_ALLOW_REMOTE: "yes",
    ...(hasCheckpoints ? {} : { PULUMI_EXPERIMENTAL: "true", PULUMI_SKIP_CHECKPOINTS: "true" }),
  });
  const memory = watchMemory();
  const up = await seconds(() => stack.up({ parallel }));
  const peaks = memory.stop();
  process.send?.("up");
  const peakMiB = Object.values(peaks).reduce((sum, size) => sum + size, 0);
  const states = join(folder, "backend/.pulumi/stacks/fleet");
  // The engine appends to this name when it is told to compress the state.
  const state = fs
    .readdirSync(states)
    .find((name) => /^bench\.json(\.\w+)?$/.test(name) && !/\.(bak|attrs)$/.test(name));
  const stateBytes = fs.statSync(join(states, state ?? "bench.json")).size;
  const preview = await seconds(() => stack.preview({ parallel, expectNoChanges: true }));
  const destroy = await seconds(() => stack.destroy({ parallel }));
  return { up, preview, destroy, peakMiB, peaks, stateBytes };
}

async function seconds(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return (performance.now() - started) / 1000;
}

/**
 * Measures the peak memory of this process, which runs the program, of the engine and of each
 * plugin, in MiB by name. Their sum is an upper bound, because the peaks may have come at different
 * times.
 */
function watchMemory() {
  const peaks = new Map<string, { readonly name: string; readonly size: number }>();
  const look = () => {
    for (const pid of ["self", ...engines()]) {
      try {
        const status = fs.readFileSync(`/proc/${pid}/status`, "utf8");
        const peak = /^VmHWM:\s+(\d+)/m.exec(status)?.[1];
        const name = pid === "self" ? "program" : (/^Name:\s+(\S+)/m.exec(status)?.[1] ?? "?");
        if (peak !== undefined) peaks.set(pid, { name, size: Number(peak) / 1024 });
      } catch {
        // The process has ended since.
      }
    }
  };
  const timer = setInterval(look, 1000);
  return {
    stop: () => {
      look();
      clearInterval(timer);
      const sums: Record<string, number> = {};
      for (const { name, size } of peaks.values()) sums[name] = (sums[name] ?? 0) + size;
      return sums;
    },
  };
}

/** The processes of Pulumi that this process, or one of those, has started. */
function engines(): string[] {
  const parents = new Map<string, string>();
  for (const pid of fs.readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      const stat = fs.readFileSync(`/proc/${pid}/stat`, "utf8");
      const [, name = "", parent = ""] = /\((.*)\) \S (\d+)/.exec(stat) ?? [];
      if (name.startsWith("pulumi")) parents.set(pid, parent);
    } catch {
      // The process has ended since.
    }
  }
  const isOurs = (pid: string): boolean => {
    const parent = parents.get(pid);
    return parent !== undefined && (parent === `${process.pid}` || isOurs(parent));
  };
  return [...parents.keys()].filter(isOurs);
}

process.once("message", (asked: Asked) => {
  measure(asked)
    .then((measured) => new Promise((done) => process.send?.(measured, done)))
    .catch((error: Error) => {
      process.stderr.write(`${error.message}\n`);
      process.exitCode = 1;
    })
    .finally(() => process.disconnect());
});
