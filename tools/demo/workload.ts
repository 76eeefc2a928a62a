// SPDX-License-Identifier: Apache-2.0
import type { Bypass } from "./host";
import type { Redis } from "./redis";
import { run, say, withCleanup } from "./run";

/** What redis-benchmark reports for one way to reach the server. */
export interface Figures {
  readonly rps: number;
  readonly p50us: number;
  readonly p99us: number;
}

export interface Comparison {
  readonly tcp: Figures;
  readonly bypass: Figures;
  readonly unix: Figures;
}

export const clients = 4;
export const valueBytes = 64;
const requests = 60_000;
const rounds = 5;

/**
 * Measures plain TCP, the bypass and a Unix socket in turn, so that a slow second of the machine
 * affects all three, and gives medians.
 */
export async function compare(redis: Redis, bypass: Bypass): Promise<Comparison> {
  const found: Record<keyof Comparison, Figures[]> = { tcp: [], bypass: [], unix: [] };
  await withCleanup(
    () => bypass.resume(),
    async () => {
      for (let round = 1; round <= rounds; round++) {
        await bypass.drain();
        found.tcp.push(await benchmark(redis, "tcp"));
        await bypass.resume();
        found.bypass.push(await benchmark(redis, "tcp"));
        found.unix.push(await benchmark(redis, "unix"));
        const [tcp, through, unix] = [found.tcp, found.bypass, found.unix].map((list) =>
          Math.round(list.at(-1)?.rps ?? 0),
        );
        say(`round ${round} of ${rounds}, requests/s: plain TCP ${tcp}, bypass ${through}, Unix socket ${unix}`);
      }
    },
  );
  return { tcp: medians(found.tcp), bypass: medians(found.bypass), unix: medians(found.unix) };
}

/** One run of redis-benchmark over new connections. */
export async function benchmark(redis: Redis, way: "tcp" | "unix"): Promise<Figures> {
  const place = way === "tcp" ? ["-h", "127.0.0.1", "-p", `${redis.port}`] : ["-s", redis.socket];
  const load = [
    "-t",
    "get",
    "-d",
    `${valueBytes}`,
    "-c",
    `${clients}`,
    "-n",
    `${requests}`,
    "--precision",
    "3",
    "--csv",
  ];
  return parse(await run("taskset", ["-c", redis.cpu, "redis-benchmark", ...place, ...load]));
}

/** Stores a value to get, of the size that the table names. */
export async function prime(redis: Redis): Promise<void> {
  await run("redis-benchmark", ["-s", redis.socket, "-t", "set", "-d", `${valueBytes}`, "-n", "1000", "-q"]);
}

/** Finds the columns by their names, because their order differs between versions. */
function parse(csv: string): Figures {
  const lines = csv.split("\n").filter((line) => line.startsWith('"'));
  const [names = [], values = []] = lines.map((line) => line.split(",").map((word) => word.replaceAll('"', "")));
  const of = (name: string) => {
    const value = Number(values[names.indexOf(name)]);
    if (!(value > 0)) throw new Error(`redis-benchmark: expected a number for ${name}, found: ${csv}`);
    return value;
  };
  const us = (name: string) => Math.round(of(name) * 1000);
  return { rps: of("rps"), p50us: us("p50_latency_ms"), p99us: us("p99_latency_ms") };
}

function medians(list: readonly Figures[]): Figures {
  const middle = (name: keyof Figures) => {
    const sorted = list.map((one) => one[name]).sort((a, b) => a - b);
    return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
  };
  return { rps: middle("rps"), p50us: middle("p50us"), p99us: middle("p99us") };
}
