// SPDX-License-Identifier: Apache-2.0
// Runs the services in each place, with and without load.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { freePort } from "../../../test/support/port";
import { inGroup, type Way } from "../loopback/ways";
import { closeNetwork, openNetwork, type Place, places } from "./network";
import { type Service, type Setting, services } from "./services";

export const folder = path.join(os.tmpdir(), `socket-bypass-bench-advise-${process.pid}`);
const root = path.join(__dirname, "../../..");
const running: ChildProcess[] = [];
const ports: Record<Place, Record<string, number>> = { tcp: {}, bypass: {} };

/** The way `tcpAgain` has the same servers as `tcp`. */
export function placeOf(way: Way): Place {
  return way === "bypass" ? "bypass" : "tcp";
}

export function portOf(place: Place, name: string): number {
  const port = ports[place][name];
  if (port === undefined) throw new Error(`bench: expected a service, found ${name}`);
  return port;
}

function settingOf(place: Place): Setting {
  return { place, folder, port: (name) => portOf(place, name) };
}

function inSpace(space: string | undefined, words: readonly string[]): string[] {
  return space === undefined ? [...words] : ["ip", "netns", "exec", space, ...words];
}

/** Starts a server in each place, on CPU 0, and waits until all listen. */
export async function openPrograms(): Promise<void> {
  execFileSync("clang-19", [
    "-O2",
    "-Wall",
    "-Wextra",
    "-o",
    path.join(folder, "load"),
    path.join(__dirname, "load.c"),
  ]);
  const relay = path.join(root, "test/e2e/apps/go-proxy");
  execFileSync("go", ["build", "-buildvcs=false", "-o", path.join(folder, "relay"), "."], { cwd: relay });
  for (const place of places) for (const { name } of services) ports[place][name] = await freePort();
  openNetwork({ tcp: portOf("tcp", "clusterip"), bypass: portOf("bypass", "clusterip") });
  for (const place of places) {
    for (const service of services) {
      start(place, "0", inSpace(service.space, service.serve(settingOf(place))));
      await listens(service, portOf(place, service.name));
    }
    for (const { prepare } of services) if (prepare) said(place, "0", prepare(settingOf(place)));
  }
}

function start(way: Way, cpus: string, words: readonly string[]): ChildProcess {
  const own = ["setpriv", "--pdeathsig", "TERM", "taskset", "-c", cpus];
  const [first = "", ...rest] = inGroup(way, ...own, ...words);
  const log = fs.openSync(path.join(folder, "log"), "a");
  const child = spawn(first, rest, { cwd: folder, stdio: ["ignore", log, log] });
  fs.closeSync(log);
  running.push(child);
  return child;
}

async function listens({ title, space }: Service, port: number): Promise<void> {
  const words = inSpace(space, ["ss", "-Hltn", `sport = :${port}`]);
  for (let tries = 0; tries < 200; tries++) {
    if (execFileSync(words[0] ?? "", words.slice(1), { encoding: "utf8" }) !== "") return;
    await new Promise((wake) => setTimeout(wake, 50));
  }
  const log = fs.readFileSync(path.join(folder, "log"), "utf8");
  throw new Error(`bench: expected ${title} on port ${port} within 10 seconds, found none; the servers said:\n${log}`);
}

/** What a command says that runs in the cgroup of a way. */
function said(way: Way, cpus: string, words: readonly string[]): string {
  const [first = "", ...rest] = inGroup(way, "taskset", "-c", cpus, ...words);
  return execFileSync(first, rest, {
    encoding: "utf8",
    cwd: "/",
    stdio: ["ignore", "pipe", "pipe"],
    maxBuffer: 1 << 24,
  });
}

function loadOf(service: Service, place: Place, ms: number): string[] {
  return inSpace(service.loadSpace, service.load?.(settingOf(place), ms) ?? []);
}

/** Loads a service from a CPU for a while, and gives how much it did in a second. */
export function rateOf(service: Service, way: Way, cpus: string, ms: number): number {
  const text = said(service.isLoadElsewhere ? "tcp" : way, cpus, loadOf(service, placeOf(way), ms));
  const found = service.rate?.exec(text)?.[1];
  if (found === undefined) throw new Error(`bench: ${service.title}: expected ${service.rate}, found:\n${text}`);
  return Number(found) * (service.scale ?? 1);
}

/** Tries a service that may not answer: `works`, or what the load says. */
export function outcomeOf(service: Service, way: Way): string {
  const [first = "", ...rest] = inGroup(way, ...loadOf(service, placeOf(way), 500));
  try {
    execFileSync(first, rest, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
    return "works";
  } catch (error) {
    const { stdout } = error as { stdout?: unknown };
    if (typeof stdout !== "string" || stdout === "") throw error;
    return stdout.trim();
  }
}

/** Loads every service over plain TCP while `look` runs. */
export async function whileBusy<T>(look: () => Promise<T>): Promise<T> {
  const loads = services
    .filter(({ load }) => load !== undefined)
    .map((service) => start("tcp", "0-1", loadOf(service, "tcp", 60_000)));
  try {
    await new Promise((wake) => setTimeout(wake, 2000));
    const ended = loads.find(({ exitCode }) => exitCode !== null);
    if (ended)
      throw new Error(`bench: expected every load to last, found an end of ${ended.spawnargs.slice(-8).join(" ")}`);
    return await look();
  } finally {
    await stop(loads);
  }
}

async function stop(children: readonly ChildProcess[]): Promise<void> {
  for (const child of children) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    const gone = once(child, "exit");
    // PostgreSQL waits for its clients on SIGTERM and stops at once on SIGINT.
    child.kill("SIGINT");
    await Promise.race([gone, new Promise((wake) => setTimeout(wake, 3000))]);
    child.kill("SIGKILL");
    await gone;
  }
}

/** This also works after openPrograms() has failed half-way. */
export async function closePrograms(): Promise<void> {
  await stop(running.splice(0).reverse());
  closeNetwork();
  fs.rmSync(folder, { recursive: true, force: true });
}
