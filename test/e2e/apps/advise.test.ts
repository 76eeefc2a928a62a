// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { Datapath } from "../../bpf/datapath.js";
import { temporaryFolder } from "../../support/host.js";
import { freePort } from "../../support/port.js";
import { adviseOn, client, connections, fileWith, folderOf, isSkippedWithout, Program } from "./program.js";

const versions = existsSync("/usr/lib/postgresql") ? readdirSync("/usr/lib/postgresql") : [];
const newest = versions.sort((a, b) => Number(a) - Number(b)).at(-1) ?? "(none)";
const [initdb, postgres, pgbench] = ["initdb", "postgres", "pgbench"].map((name) =>
  join("/usr/lib/postgresql", newest, "bin", name),
);
const tools = [
  `${postgres}`,
  "redis-server",
  "redis-benchmark",
  "memcached",
  "nginx",
  "wrk",
  "haproxy",
  "go",
  "python3",
];

// Not proven here: that what is expected of these programs is what the bypass brings, which
// tools/bench/advise measures (docs/explanation/benchmarks); a client on another machine, of
// which `advise` sees as little as of a socket in a network without a process.
describe.skipIf(isSkippedWithout(...tools))("advise on a host with many programs", () => {
  let [proxy, data] = ["", ""];
  beforeAll(() => {
    proxy = join(temporaryFolder(), "go-proxy");
    execFileSync("go", ["build", "-buildvcs=false", "-o", proxy, "."], { cwd: join(__dirname, "go-proxy") });
    data = join(folderOf("postgres"), "data");
    const as = ["--reuid=postgres", "--regid=postgres", "--init-groups", `${initdb}`, "-D", data, "-A", "trust", "-N"];
    execFileSync("setpriv", as, { cwd: "/", stdio: ["ignore", "ignore", "inherit"] });
  });

  test("names exactly the ports that gain, and every danger", async () => {
    const path = await Datapath.make([], "--ports", "1");
    const start = (...words: (string | number)[]) => new Program(path, words);
    const ports = {
      redis: 0,
      postgres: 0,
      memcached: 0,
      nginx: 0,
      app: 0,
      stream: 0,
      haproxy: 0,
      behind: 0,
      relay: 0,
      far: 0,
      cluster: 0,
      remote: 0,
    };
    for (const name of Object.keys(ports) as (keyof typeof ports)[]) ports[name] = await freePort();

    await start("redis-server", "--port", ports.redis, "--save", "", "--dir", temporaryFolder()).listens(ports.redis);
    start("redis-benchmark", "-p", ports.redis, "-c", 4, "-t", "get", "-n", 1_000_000_000, "-q");

    const settings = ["fsync=off", "unix_socket_directories=", "listen_addresses=127.0.0.1", `port=${ports.postgres}`];
    const words = [`${postgres}`, "-D", data, ...settings.flatMap((one) => ["-c", one])];
    await new Program(path, words, { user: "postgres", signal: "SIGINT" }).listens(ports.postgres);
    const place = ["-h", "127.0.0.1", "-p", ports.postgres, "-U", "postgres"];
    await start(`${pgbench}`, ...place, "-i", "-q", "postgres").result();
    start(`${pgbench}`, ...place, "-n", "-S", "-c", 2, "-T", 60, "postgres");

    await start("memcached", "-u", "nobody", "-l", "127.0.0.1", "-p", ports.memcached, "-U", 0).listens(
      ports.memcached,
    );
    start(...connections("ask_memcached", ports.memcached));

    await start(...client("web"), "serve", ports.app).listens(ports.app);
    await start("nginx", "-c", nginxConfig(ports.nginx, ports.app), "-e", "stderr").listens(ports.nginx);
    start("wrk", "-t1", "-c4", "-d60s", `http://127.0.0.1:${ports.nginx}/10/100`);

    await start(...connections("drink_at", ports.stream)).listens(ports.stream);
    start(...connections("pour_to", ports.stream));

    for (const port of [ports.behind, ports.far]) await start(...connections("serve_at", port)).listens(port);
    await start("haproxy", "-db", "-f", haproxyConfig(ports.haproxy, ports.behind)).listens(ports.haproxy);
    await start(
      "env",
      "GODEBUG=multipathtcp=0",
      proxy,
      "tcp",
      `127.0.0.1:${ports.relay}`,
      `127.0.0.1:${ports.far}`,
    ).listens(ports.relay);
    for (const port of [ports.haproxy, ports.relay]) await start(...connections("talk_to", port)).says(/talking/);
    await start(...connections("cluster", "dnat", ports.cluster)).says(/"port"/);
    await start(...connections("remote", ports.remote)).says(/"port"/);
    await new Promise((wake) => setTimeout(wake, 1000));

    const advice = await adviseOn(path, Object.values(ports));
    const advised = Object.fromEntries(
      Object.entries(ports).map(([name, port]) => {
        const {
          program,
          clients,
          advice: word,
          dangers,
        } = advice.services.find((service) => service.port === port) ?? { dangers: [] };
        const kinds = dangers.map((danger) => `${danger.kind} ${danger.program}`);
        return [name, [program, clients?.join(), word, ...kinds].join(" ")];
      }),
    );
    expect(advised).toEqual({
      redis: "redis-server redis-benchmark include",
      postgres: "postgres pgbench include",
      memcached: "memcached frontend include",
      nginx: "nginx wrk include",
      app: "python3 nginx include",
      stream: "sink iperf include",
      haproxy: "haproxy frontend danger splice haproxy",
      behind: "backend haproxy danger splice haproxy",
      relay: "go-proxy frontend danger splice go-proxy",
      far: "backend go-proxy danger splice go-proxy",
      // By the port of the server behind the address of the service.
      cluster: "backend frontend include",
      remote: "backend  leave",
    });
    const gaining = ["redis", "postgres", "memcached", "nginx", "app", "stream", "cluster"] as const;
    const ours: readonly number[] = Object.values(ports);
    expect(advice.traffic.ports.filter((port) => ours.includes(port)).sort()).toEqual(
      gaining.map((name) => ports[name]).sort(),
    );
  });
});

/** Connections that last: of those that come and go, `advise` does not always know the client. */
function nginxConfig(front: number, back: number): string {
  const own = temporaryFolder();
  chmodSync(own, 0o755);
  const folders = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    (name) => `${name}_temp_path ${own}/${name};`,
  );
  return fileWith(`daemon off; worker_processes 1; pid ${own}/pid; error_log stderr;
events { }
http {
  access_log off; keepalive_requests 1000000000; ${folders.join(" ")}
  upstream service { server 127.0.0.1:${back}; keepalive 4; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${front};
    location / { proxy_pass http://service; proxy_http_version 1.1; proxy_set_header Connection ""; }
  }
}
`);
}

function haproxyConfig(front: number, back: number): string {
  return fileWith(`defaults
 mode tcp
 timeout connect 5s
 timeout client 30s
 timeout server 30s
 option splice-auto
listen proxy
 bind 127.0.0.1:${front}
 server backend 127.0.0.1:${back}
`);
}
