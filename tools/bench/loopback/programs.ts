// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import * as net from "node:net";
import * as os from "node:os";
import * as path from "node:path";
import type { Cell, Suite } from "../report/cell";
import { inGroup, type Way, ways } from "./ways";

const overTcp = ways.filter((way) => way !== "unix");
const folder = path.join(os.tmpdir(), `socket-bypass-bench-programs-${process.pid}`);

/** Each way's cgroup has one server of each program; Unix sockets lead to that of plain TCP. */
const places = ["tcp", "article", "bypass"] as const;
type Place = (typeof places)[number];
const placeOf = (way: Way): Place => (way === "article" || way === "bypass" ? way : "tcp");

const servers: ChildProcess[] = [];
const ports: Record<string, Record<Place, number>> = {};

function portOf(program: string, way: Way): string {
  return `${ports[program]?.[placeOf(way)]}`;
}

/** The output of a command that runs in the cgroup of a way. */
function said(way: Way, ...command: string[]): string {
  const [first = "", ...rest] = inGroup(way, ...command);
  return execFileSync(first, rest, { encoding: "utf8", cwd: "/", stdio: ["ignore", "pipe", "pipe"] });
}

function number(text: string, pattern: RegExp): number {
  const found = pattern.exec(text)?.[1];
  if (found === undefined) throw new Error(`bench: expected ${pattern}, found:\n${text}`);
  return Number(found);
}

/** Measures real servers with their own clients. */
export function programs(ms: number): Suite {
  return { cells: [...redisCells(ms), ...nginxCells(ms), ...postgresCells(ms)], open, close };
}

function redisCells(ms: number): Cell[] {
  const cell = (name: string, cpus: string, perSecond: number, ...flags: string[]): Cell => ({
    name: `redis GET 64 B, ${name}`,
    unit: "requests/s",
    ways,
    run: (way) => {
      const to = way === "unix" ? ["-s", path.join(folder, "redis.sock")] : ["-p", portOf("redis", way)];
      const count = `${Math.round((perSecond * ms) / 1000)}`;
      const words = ["redis-benchmark", ...to, "-t", "get", "-d", "64", "-n", count, "--csv", ...flags];
      return number(said(way, "taskset", "-c", cpus, ...words), /"GET[^"]*","([\d.]+)"/);
    },
  });
  return [
    cell("1 client, one CPU", "0", 40_000, "-c", "1"),
    cell("50 clients, one CPU", "0", 100_000, "-c", "50"),
    cell("50 clients, two CPUs", "1", 150_000, "-c", "50"),
    cell("50 clients, pipelines of 16, one CPU", "0", 500_000, "-c", "50", "-P", "16"),
  ];
}

function nginxCells(ms: number): Cell[] {
  const cell = (name: string, program: string, cpus: string): Cell => ({
    name: `nginx 1 KiB, ${name}`,
    unit: "requests/s",
    ways: overTcp,
    run: (way) => {
      const url = `http://127.0.0.1:${portOf(program, way)}/1k`;
      const words = ["wrk", "-t", "1", "-c", "16", "-d", `${Math.max(1, Math.round(ms / 1000))}s`, url];
      return number(said(way, "taskset", "-c", cpus, ...words), /Requests\/sec:\s+([\d.]+)/);
    },
  });
  return [
    cell("wrk, one CPU", "nginx", "0"),
    cell("wrk, two CPUs", "nginx", "1"),
    cell("wrk, deferred accept, one CPU", "deferred", "0"),
  ];
}

function postgresCells(ms: number): Cell[] {
  const cell = (name: string, cpus: string, ...flags: string[]): Cell => ({
    name: `pgbench ${name}`,
    unit: "transactions/s",
    ways,
    run: (way) => {
      const to = way === "unix" ? ["-h", folder] : ["-h", "127.0.0.1"];
      const words = [`${postgresBin()}/pgbench`, "-n", "-T", `${Math.max(1, Math.round(ms / 1000))}`, ...flags];
      const line = [...words, "-p", portOf("postgres", way), ...to, "-U", "postgres", "postgres"];
      return number(said(way, "taskset", "-c", cpus, ...line), /tps = ([\d.]+)/);
    },
  });
  return [
    cell("select only, 1 client, one CPU", "0", "-S", "-c", "1"),
    cell("select only, 4 clients, two CPUs", "1", "-S", "-c", "4"),
  ];
}

async function open(): Promise<void> {
  fs.mkdirSync(folder);
  fs.writeFileSync(path.join(folder, "1k"), "x".repeat(1024));
  for (const place of places) {
    for (const program of ["redis", "nginx", "deferred", "postgres"]) {
      ports[program] = { ...(ports[program] ?? { tcp: 0, article: 0, bypass: 0 }), [place]: await freePort() };
    }
    startRedis(place);
    startNginx(place);
    startPostgres(place);
  }
  for (const program of Object.values(ports)) {
    for (const port of Object.values(program)) await answers(port);
  }
  for (const place of places) {
    const redis = ["redis-cli", "-p", portOf("redis", place), "set", "key:__rand_int__", "x".repeat(64)];
    said(place, ...redis);
    const to = ["-h", "127.0.0.1", "-p", portOf("postgres", place), "-U", "postgres", "postgres"];
    said(place, `${postgresBin()}/pgbench`, "-i", "-q", "-s", "1", ...to);
  }
}

/** All servers run on CPU 0; the CPU of the client decides whether one or two are used. */
function start(place: Place, ...command: string[]): void {
  const [first = "", ...rest] = inGroup(place, "setpriv", "--pdeathsig", "TERM", "taskset", "-c", "0", ...command);
  const log = fs.openSync(path.join(folder, "log"), "a");
  servers.push(spawn(first, rest, { cwd: folder, stdio: ["ignore", log, log] }));
  fs.closeSync(log);
}

function startRedis(place: Place): void {
  const local = place === "tcp" ? ["--unixsocket", path.join(folder, "redis.sock")] : [];
  const port = portOf("redis", place);
  start(place, "redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--loglevel", "warning", ...local);
}

function startNginx(place: Place): void {
  const file = path.join(folder, `nginx-${place}.conf`);
  fs.writeFileSync(
    file,
    `daemon off; worker_processes 1; pid ${folder}/nginx-${place}.pid; error_log stderr error; user root;
events {}
http {
  access_log off; keepalive_requests 1000000; client_body_temp_path ${folder}/a-${place}; proxy_temp_path ${folder}/b-${place};
  fastcgi_temp_path ${folder}/c-${place}; uwsgi_temp_path ${folder}/d-${place}; scgi_temp_path ${folder}/e-${place};
  root ${folder};
  server { listen 127.0.0.1:${portOf("nginx", place)}; }
  server { listen 127.0.0.1:${portOf("deferred", place)} deferred; }
}
`,
  );
  start(place, "nginx", "-c", file, "-p", folder);
}

function startPostgres(place: Place): void {
  const data = path.join(folder, `postgres-${place}`);
  fs.mkdirSync(data);
  execFileSync("chown", ["postgres", data]);
  fs.chmodSync(folder, 0o777);
  const as = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--init-groups"];
  const [first = "", ...rest] = [...as, `${postgresBin()}/initdb`, "-D", data, "-A", "trust", "-N"];
  execFileSync(first, rest, { cwd: "/", stdio: ["ignore", "ignore", "inherit"] });
  const settings = { listen_addresses: "127.0.0.1", unix_socket_directories: folder, fsync: "off", autovacuum: "off" };
  const flags = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  // The kernel clears the death signal when the user changes, so it is set again after that.
  const again = [...as, "--pdeathsig", "INT"];
  start(place, ...again, `${postgresBin()}/postgres`, "-D", data, "-p", portOf("postgres", place), ...flags);
}

function postgresBin(): string {
  const versions = fs.readdirSync("/usr/lib/postgresql").sort((a, b) => Number(b) - Number(a));
  return `/usr/lib/postgresql/${versions[0]}/bin`;
}

async function freePort(): Promise<number> {
  const server = net.createServer();
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as net.AddressInfo;
  await new Promise((done) => server.close(done));
  return port;
}

async function answers(port: number): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    const socket = net.connect(port, "127.0.0.1");
    const isUp = await new Promise<boolean>((done) => {
      socket.once("connect", () => done(true)).once("error", () => done(false));
    });
    socket.destroy();
    if (isUp) return;
    await new Promise((wake) => setTimeout(wake, 50));
  }
  const log = fs.readFileSync(path.join(folder, "log"), "utf8");
  throw new Error(`bench: expected a server on port ${port} within 10 seconds, found none; the servers said:\n${log}`);
}

/** This also works after open() has failed half-way. */
async function close(): Promise<void> {
  for (const server of servers.splice(0)) {
    if (server.exitCode !== null || server.signalCode !== null) continue;
    const gone = once(server, "exit");
    // PostgreSQL waits for its clients on SIGTERM and stops at once on SIGINT.
    server.kill("SIGINT");
    await Promise.race([gone, new Promise((wake) => setTimeout(wake, 5000))]);
    server.kill("SIGKILL");
    await gone;
  }
  fs.rmSync(folder, { recursive: true, force: true });
}
