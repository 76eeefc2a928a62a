// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { DemoError } from "./run";

/** A redis-server of the demo's own, on loopback, that stores nothing on disk. */
export interface Redis {
  readonly port: number;
  readonly socket: string;
  /** Server and benchmark share one CPU; otherwise the scheduler would decide the figures. */
  readonly cpu: string;
  stop(): Promise<void>;
}

export async function startRedis(): Promise<Redis> {
  const port = await freePort();
  const folder = await mkdtemp(join(tmpdir(), "socket-bypass-demo-"));
  const socket = join(folder, "redis.sock");
  const cpu = await lastCpu();
  const settings = {
    port,
    bind: "127.0.0.1",
    unixsocket: socket,
    save: "",
    appendonly: "no",
    dir: folder,
    loglevel: "warning",
  };
  const words = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, `${value}`]);
  // The server ends with this process, even if this process is killed.
  const server = spawn("setpriv", ["--pdeathsig", "TERM", "taskset", "-c", cpu, "redis-server", ...words], {
    cwd: folder,
    detached: true,
    stdio: ["ignore", "ignore", "inherit"],
  });
  const stop = async () => {
    await end(server);
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await answers(server, port);
  } catch (error) {
    await stop();
    throw error;
  }
  return { port, socket, cpu, stop };
}

/** Tries the ports in the same order each time, so that a second run finds nothing to change. */
async function freePort(): Promise<number> {
  for (let port = 6379; port < 6479; port++) {
    if (await isFree(port)) return port;
  }
  throw new DemoError(
    "expected a free port between 6379 and 6478 on 127.0.0.1, found none; stop something that listens there",
  );
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}

async function lastCpu(): Promise<string> {
  const allowed = /^Cpus_allowed_list:.*?(\d+)$/m.exec(await readFile("/proc/self/status", "utf8"));
  return allowed?.[1] ?? "0";
}

async function answers(server: ChildProcess, port: number): Promise<void> {
  let failed: Error | undefined;
  server.once("error", (error) => {
    failed = error;
  });
  for (let tries = 0; tries < 100; tries++) {
    if (failed !== undefined) throw failed;
    if (server.exitCode !== null) break;
    const isUp = await new Promise<boolean>((resolve) => {
      const probe = connect(port, "127.0.0.1", () => resolve(true)).once("error", () => resolve(false));
      probe.once("connect", () => probe.destroy());
    });
    if (isUp) return;
    await sleep(50);
  }
  throw new DemoError(`redis-server: expected an answer on port ${port} within 5 seconds, found none`);
}

async function end(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null || server.pid === undefined) return;
  const gone = once(server, "exit");
  server.kill("SIGTERM");
  const isGone = await Promise.race([gone.then(() => true), sleep(3_000, false, { ref: false })]);
  if (!isGone) {
    server.kill("SIGKILL");
    await gone;
  }
}
