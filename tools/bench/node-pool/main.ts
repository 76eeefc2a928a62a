// SPDX-License-Identifier: Apache-2.0
// What a node pool costs and gains on a real cluster, as root: `npm run bench:pool -- [--rounds N]
// [--ms N] [--write]`
//
//   --rounds N, --ms N   rounds (7), and length of a run (400)
//   --write              keep the result in docs/explanation/benchmarks/
//
// The cluster is that of the tests: a real control plane and two real nodes in namespaces of this
// machine, with the real engine and its provider. The last line of stdout is one JSON object {up,
// rssMiB, podMiB, cpuShare, cells}, where cells maps a name to {tcp, tcpAgain, bypass, ratio}.
// docs/explanation/benchmarks/node-pools.md tells how it is measured.
import * as fs from "node:fs";
import { parseArgs } from "node:util";
import { Cluster } from "../../../test/e2e/kubernetes/cluster/cluster";
import { Pool } from "../../../test/e2e/kubernetes/pool";
import { type Cell, measure, type Result } from "../report/cell";
import { describeMachine } from "../report/machine";
import { bypassedPort, openCells } from "./cells";
import { type PoolReport, writePool } from "./page";
import { measureRest } from "./rest";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "7" },
    ms: { type: "string", default: "400" },
    write: { type: "boolean", default: false },
  },
});
const [rounds, ms] = [Number(values.rounds), Number(values.ms)];

// The signal is checked between steps, because an engine that is stopped in the middle of a step
// would leave its provider and its state behind.
const stop = new AbortController();
for (const [signal, number] of Object.entries({ SIGHUP: 1, SIGINT: 2, SIGTERM: 15 })) {
  process.on(signal, () => {
    process.exitCode = 128 + number;
    stop.abort(new Error(`${signal}: nothing is measured any more`));
    say(`${signal}: removing the cluster`);
  });
}

async function main(): Promise<void> {
  if (!(rounds >= 1 && ms >= 100))
    throw new Error(
      `bench: expected --rounds of at least 1 and --ms of at least 100, found ${values.rounds} and ${values.ms}`,
    );
  const report = await withPool(measurePool);
  if (values.write) writePool(report);
  const { up, rest, cells } = report;
  console.log(JSON.stringify({ up, ...rest, cells: mapped(cells, brief) }));
}

/** Runs `work` in an empty cluster, which is removed in any case. */
async function withPool<T>(work: (pool: Pool) => Promise<T>): Promise<T> {
  say("starting a cluster of two nodes");
  const cluster = await Cluster.make();
  try {
    const pool = new Pool(cluster);
    try {
      return await work(pool).finally(() => pool.end());
    } finally {
      // The folder still exists if the engine failed to destroy the stack.
      fs.rmSync(pool.folder, { recursive: true, force: true });
    }
  } finally {
    await cluster.down();
  }
}

async function measurePool(pool: Pool): Promise<PoolReport> {
  const { cluster } = pool;
  stop.signal.throwIfAborted();
  pool.args = { traffic: { ports: [`${bypassedPort}`] } };
  const cells = await openCells(cluster, ms);
  say("bringing the pool up");
  // This also creates the stack.
  await pool.preview();
  stop.signal.throwIfAborted();
  const started = performance.now();
  await pool.up();
  const up = Number(((performance.now() - started) / 1000).toFixed(1));
  say(`up: ${up} s; ${rounds} rounds of ${cells.length} cells`);
  const results: Record<string, Result> = {};
  for (const cell of cells) {
    const result = await measure(stoppable(cell), rounds);
    results[cell.name] = result;
    say(`${cell.name.padEnd(68)}${result.ratios.bypass?.toFixed(2)}   noise ${result.ratios.tcpAgain?.toFixed(2)}`);
  }
  say("a minute of rest");
  const rest = await measureRest([cluster.node(1), cluster.node(2)], stop.signal);
  const machine = { ...describeMachine(), rounds, ms, versions: await versionsOf(cluster) };
  return { machine, up, rest, cells: results };
}

function stoppable(cell: Cell): Cell {
  const run: Cell["run"] = (way) => {
    stop.signal.throwIfAborted();
    return cell.run(way);
  };
  return { ...cell, run };
}

async function versionsOf(cluster: Cluster): Promise<Record<string, string>> {
  const info = JSON.parse(await cluster.kubectl("get", "node", "node-1", "-o", "jsonpath={.status.nodeInfo}"));
  const [runtime, version] = info.containerRuntimeVersion.split("://");
  return { Kubernetes: info.kubeletVersion.replace(/^v/, ""), [runtime]: version };
}

function brief({ medians, ratios }: Result): Record<string, number | undefined> {
  return { tcp: medians.tcp, tcpAgain: medians.tcpAgain, bypass: medians.bypass, ratio: ratios.bypass };
}

function mapped<T, U>(from: Record<string, T>, act: (value: T) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(from).map(([name, value]) => [name, act(value)]));
}

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

main().catch((error: unknown) => {
  say(error instanceof Error ? `${error.message}` : `${error}`);
  process.exitCode ??= 1;
});
