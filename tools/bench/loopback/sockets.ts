// SPDX-License-Identifier: Apache-2.0
import * as fs from "node:fs";
import * as path from "node:path";
import type { Cell, Suite } from "../report/cell";
import { bench, run } from "./probe";
import { groupFor, inGroup, type Way, ways } from "./ways";

const sizes = [64, 1024, 16384, 65536, 262144];
const names = { rr: "request/response", stream: "one-way stream", duplex: "duplex stream" } as const;
const places = { "0,0": "one CPU", "0,1": "two CPUs" } as const;

/** Measures loopback in every mode, with every size and placement. */
export function sockets(ms: number): Suite {
  const cells: Cell[] = [];
  for (const mode of ["rr", "stream", "duplex"] as const) {
    for (const pin of ["0,0", "0,1"] as const) {
      for (const size of sizes) cells.push(traffic(mode, size, pin, ms));
    }
  }
  for (const pin of ["0,0", "0,1"] as const) cells.push(connections(pin, ms));
  cells.push(cpuPerRequest(ms));
  return { cells };
}

function traffic(mode: keyof typeof names, size: number, pin: keyof typeof places, ms: number): Cell {
  return {
    name: `${names[mode]} ${sizeText(size)}, ${places[pin]}`,
    unit: mode === "rr" ? "round trips/s" : "Mbit/s",
    ways,
    run: async (way) => {
      const answer = await run(inGroup(way, ...bench(mode, size, pin, ms), ...over(way)));
      return mode === "rr" ? answer.rps : answer.mbps;
    },
  };
}

/**
 * A request of 64 bytes and its answer on a new connection. The benchmark has no such mode for Unix
 * sockets.
 */
function connections(pin: keyof typeof places, ms: number): Cell {
  return {
    name: `connect, one request 64 B, close, ${places[pin]}`,
    unit: "connections/s",
    ways: ways.filter((way) => way !== "unix"),
    run: async (way) => (await run(inGroup(way, ...bench("connect", 64, pin, ms)))).rps,
  };
}

/** The CPU time of both processes, on two CPUs, from the counters of their cgroup. */
function cpuPerRequest(ms: number): Cell {
  return {
    name: "CPU time of a request 1 KiB, two CPUs",
    unit: "us",
    isCost: true,
    ways,
    run: async (way) => {
      const before = cpuTime(way);
      const { messages } = await run(inGroup(way, ...bench("rr", 1024, "0,1", ms), ...over(way)));
      // `messages` leaves out the first tenth of the time.
      return (cpuTime(way) - before) / (messages / 0.9);
    },
  };
}

function cpuTime(way: Way): number {
  const stat = fs.readFileSync(path.join(groupFor(way), "cpu.stat"), "utf8");
  return Number(/^usage_usec (\d+)/m.exec(stat)?.[1]);
}

function over(way: Way): string[] {
  return way === "unix" ? ["--transport", "unix"] : [];
}

function sizeText(size: number): string {
  return size < 1024 ? `${size} B` : `${size / 1024} KiB`;
}
