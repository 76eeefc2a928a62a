// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { elsewhere, far, farAddress, near, type Place, service } from "./network";

/** What a command line needs to know. */
export interface Setting {
  readonly place: Place;
  /** Of a service in that place, by its name. */
  port(name: string): number;
  readonly folder: string;
}

/** A program that serves, and the load that measures it. */
export interface Service {
  /** One service has one name in every place. */
  readonly name: string;
  /** How the page calls it. */
  readonly title: string;
  readonly unit?: string;
  /** Gives the command of its server. */
  serve(at: Setting): string[];
  /** The network namespace of its server. */
  readonly space?: string;
  /** Before it is loaded first. */
  prepare?(at: Setting): string[];
  /** Gives a command that loads it for so long at least. */
  load?(at: Setting, ms: number): string[];
  /** The network namespace of that command. */
  readonly loadSpace?: string;
  /** Whether the processes of the load are outside the cgroup that is tracked. */
  readonly isLoadElsewhere?: boolean;
  /** How much it did in a second, in the group of a match of what it prints. */
  readonly rate?: RegExp;
  /** What is printed, as a number of `unit`; default: as it is. */
  readonly scale?: number;
  /** A redirected answer never arrives, so it is tried once and not measured. */
  readonly isHarmed?: boolean;
}

const local = "127.0.0.1";
const ask = { unit: "requests/s", rate: /^([\d.]+)$/m };
const redis = { unit: "requests/s", rate: /"GET[^"]*","([\d.]+)"/ };

/** More than any of these do in a second. */
function redisLoad(address: string, port: number, ms: number): string[] {
  const count = `${50 * ms}`;
  return ["redis-benchmark", "-h", address, "-p", `${port}`, "-t", "get", "-d", "64", "-n", count, "-c", "4", "--csv"];
}

function redisServer(address: string, port: number): string[] {
  const words = ["--port", `${port}`, "--bind", address, "--save", "", "--loglevel", "warning"];
  return ["redis-server", ...words, "--protected-mode", "no"];
}

function load({ folder }: Setting, address: string, port: number, ms: number, ...more: string[]): string[] {
  return [path.join(folder, "load"), address, `${port}`, `${ms}`, ...more];
}

const seconds = (ms: number) => Math.max(1, Math.round(ms / 1000));
const memcached = (address: string, port: number) => [
  ...["memcached", "-u", "nobody", "-l", address, "-p", `${port}`, "-U", "0"],
];
const getKey = ["get key\\r\\n", "5"];

export const services: readonly Service[] = [
  {
    ...{ name: "redis", title: "Redis, `redis-benchmark`, 4 clients", ...redis },
    serve: ({ port }) => redisServer(local, port("redis")),
    load: ({ port }, ms) => redisLoad(local, port("redis"), ms),
  },
  {
    ...{ name: "postgres", title: "PostgreSQL, `pgbench -S`, 2 clients" },
    ...{ unit: "transactions/s", rate: /tps = ([\d.]+)/ },
    serve: startPostgres,
    prepare: (at) => [path.join(postgresBin(), "pgbench"), "-i", "-q", ...postgresAt(at)],
    load: (at, ms) => [
      ...[path.join(postgresBin(), "pgbench"), "-n", "-S", "-c", "2", "-T", `${seconds(ms)}`],
      ...postgresAt(at),
    ],
  },
  {
    ...{ name: "memcached", title: "memcached, one client", ...ask },
    serve: ({ port }) => memcached(local, port("memcached")),
    load: (at, ms) => load(at, local, at.port("memcached"), ms, ...getKey),
  },
  {
    ...{ name: "nginx", title: "nginx before the application, `wrk`; both of their ports are bypassed" },
    ...{ unit: "requests/s", rate: /Requests\/sec:\s+([\d.]+)/ },
    serve: startNginx,
    load: ({ port }, ms) => wrk(port("nginx"), ms),
  },
  {
    ...{ name: "app", title: "an application in Node.js, 1 KiB, `wrk`" },
    ...{ unit: "requests/s", rate: /Requests\/sec:\s+([\d.]+)/ },
    serve: ({ port }) => ["node", path.join(__dirname, "app.mjs"), local, `${port("app")}`],
    load: ({ port }, ms) => wrk(port("app"), ms),
  },
  {
    ...{ name: "stream", title: "a stream, `iperf3`, messages of 128 KiB" },
    ...{ unit: "Mbit/s", rate: /"sum_received":[^}]*"bits_per_second":\s*([\d.e+]+)/s, scale: 1e-6 },
    serve: ({ port }) => ["iperf3", "-s", "-B", local, "-p", `${port("stream")}`],
    load: ({ port }, ms) => ["iperf3", "-c", local, "-p", `${port("stream")}`, "-t", `${seconds(ms)}`, "-J"],
  },
  {
    ...{ name: "clusterip", title: "Redis in a pod by its ClusterIP, `redis-benchmark` in another pod", ...redis },
    ...{ space: far, loadSpace: near },
    serve: ({ port }) => redisServer(farAddress, port("clusterip")),
    load: ({ place }, ms) => redisLoad(service.address, service.ports[place], ms),
  },
  {
    ...{ name: "remote", title: "Redis in a pod, its client elsewhere", ...ask },
    ...{ space: far, isLoadElsewhere: true },
    serve: ({ port }) => redisServer(farAddress, port("remote")),
    load: (at, ms) => load(at, farAddress, at.port("remote"), ms, "PING\\r\\n", "7", elsewhere),
  },
  {
    ...{ name: "haproxy", title: "HAProxy that splices, before memcached", isHarmed: true, ...ask },
    serve: startHaproxy,
    load: (at, ms) => load(at, local, at.port("haproxy"), ms, ...getKey),
  },
  {
    ...{ name: "relay", title: "a relay in Go, before memcached", isHarmed: true, ...ask },
    serve: ({ folder, port }) => [
      ...["env", "GODEBUG=multipathtcp=0", path.join(folder, "relay"), "tcp"],
      ...[`${local}:${port("relay")}`, `${local}:${port("behind")}`],
    ],
    load: (at, ms) => load(at, local, at.port("relay"), ms, ...getKey),
  },
  {
    ...{ name: "behind", title: "memcached behind these two", isHarmed: true },
    serve: ({ port }) => memcached(local, port("behind")),
  },
];

/** The address that a service listens on. */
export function addressOf({ space }: Service): string {
  return space === undefined ? local : farAddress;
}

function wrk(port: number, ms: number): string[] {
  return ["wrk", "-t", "1", "-c", "4", "-d", `${seconds(ms)}s`, `http://${local}:${port}/`];
}

function startNginx({ place, folder, port }: Setting): string[] {
  const own = path.join(folder, `nginx-${place}`);
  fs.mkdirSync(own);
  const folders = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    (name) => `${name}_temp_path ${own}/${name};`,
  );
  fs.writeFileSync(
    path.join(own, "conf"),
    `daemon off; worker_processes 1; pid ${own}/pid; error_log stderr error; user root;
events {}
http {
  access_log off; keepalive_requests 1000000000; ${folders.join(" ")}
  upstream app { server ${local}:${port("app")}; keepalive 4; keepalive_requests 1000000000; }
  server {
    listen ${local}:${port("nginx")};
    location / { proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; }
  }
}
`,
  );
  return ["nginx", "-c", path.join(own, "conf"), "-p", own, "-e", "stderr"];
}

function startHaproxy({ place, folder, port }: Setting): string[] {
  const file = path.join(folder, `haproxy-${place}.cfg`);
  fs.writeFileSync(
    file,
    `defaults
 mode tcp
 timeout connect 5s
 timeout client 30s
 timeout server 30s
 option splice-request
 option splice-response
listen proxy
 bind ${local}:${port("haproxy")}
 server behind ${local}:${port("behind")}
`,
  );
  return ["haproxy", "-db", "-f", file];
}

function startPostgres({ place, folder, port }: Setting): string[] {
  const data = path.join(folder, `postgres-${place}`);
  fs.mkdirSync(data);
  execFileSync("chown", ["postgres", data]);
  fs.chmodSync(folder, 0o777);
  const as = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--init-groups"];
  const [first = "", ...rest] = [...as, path.join(postgresBin(), "initdb"), "-D", data, "-A", "trust", "-N"];
  execFileSync(first, rest, { cwd: "/", stdio: ["ignore", "ignore", "inherit"] });
  const settings = { listen_addresses: local, unix_socket_directories: "", fsync: "off", autovacuum: "off" };
  const flags = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  // The kernel clears the death signal when the user changes, so it is set again after that.
  const again = [...as, "--pdeathsig", "INT"];
  return [...again, path.join(postgresBin(), "postgres"), "-D", data, "-p", `${port("postgres")}`, ...flags];
}

function postgresAt({ port }: Setting): string[] {
  return ["-h", local, "-p", `${port("postgres")}`, "-U", "postgres", "postgres"];
}

function postgresBin(): string {
  const versions = fs.readdirSync("/usr/lib/postgresql").sort((a, b) => Number(b) - Number(a));
  return `/usr/lib/postgresql/${versions[0]}/bin`;
}
