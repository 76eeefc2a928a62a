// SPDX-License-Identifier: Apache-2.0
/*
 * The dangers of which `advise` warns because of the program: real ones, which all run at once and
 * talk. test/bpf/dangers.test.ts has those of sockets and of the kernel. Not proven here: that
 * these programs are harmed (haproxy.test.ts, pasta.test.ts, go.test.ts, nginx.test.ts).
 */
import { execFileSync } from "node:child_process";
import { chmodSync, rmSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { Datapath } from "../../bpf/datapath.js";
import { temporaryFolder, writeTool } from "../../support/host.js";
import { freePort } from "../../support/port.js";
import { type Advice, adviseOn, client, connections, fileWith, isSkippedWithout, Program } from "./program.js";

const kinds = ["splice", "splice-only", "splice-unknown", "fionread", "go", "relay"] as const;

describe.skipIf(isSkippedWithout("haproxy", "pasta", "nginx", "socat", "go", "python3", "ip"))("advise", () => {
  let go = "";
  beforeAll(() => {
    go = join(temporaryFolder(), "go-proxy");
    execFileSync("go", ["build", "-buildvcs=false", "-o", go, "."], { cwd: join(__dirname, "go-proxy") });
  });

  test(`warns of real programs: ${kinds.join(", ")}`, async () => {
    const path = await Datapath.make([], "--ports", "1");
    const start = (...words: (string | number)[]) => new Program(path, words);
    const port = { back: 0, web: 0, splicing: 0, unread: 0, pasta: 0, nginx: 0, go: 0, relay: 0, "relay in go": 0 };
    for (const name of Object.keys(port) as (keyof typeof port)[]) port[name] = await freePort();
    const talk = (kind: "talk_to" | "fetch_from", at: number) => start(...connections(kind, at)).says(/talking/);

    await start(...connections("serve_at", port.back)).listens(port.back);
    await start(...client("web"), "serve", port.web).listens(port.web);
    for (const name of ["splicing", "unread"] as const) {
      const file = fileWith(haproxyConfig(port[name], port.back));
      await start("haproxy", "-db", "-f", file).listens(port[name]);
      if (name === "unread") rmSync(file);
    }
    await start("nginx", "-c", fileWith(nginxConfig(port.nginx)), "-e", "stderr").listens(port.nginx);
    const relay = `TCP-LISTEN:${port.relay},bind=127.0.0.1,reuseaddr,fork`;
    await start("socat", relay, `TCP:127.0.0.1:${port.back}`).listens(port.relay);
    const proxy = (kind: string, from: number, to: number) =>
      start("env", "GODEBUG=multipathtcp=0", go, kind, `127.0.0.1:${from}`, `127.0.0.1:${to}`).listens(from);
    await proxy("http", port.go, port.web);
    await proxy("tcp", port["relay in go"], port.back);
    for (const at of [port.splicing, port.unread, port.relay, port["relay in go"]]) await talk("talk_to", at);
    for (const at of [port.nginx, port.go]) await talk("fetch_from", at);
    await start(...client("pasta"), temporaryFolder(), port.pasta, "talk").says(/talking/);

    // As on a kernel whose FIONREAD does not count what is redirected.
    const grep = execFileSync("which", ["grep"], { encoding: "utf8" }).trim();
    writeTool(path.host, "grep", `[ "$2" != msg_tot_len ] || exit 1; exec ${grep} "$@"`);
    const { services } = await adviseOn(path, Object.values(port));
    const found = Object.fromEntries(
      Object.entries(port).map(([name, at]) => [name, services.filter((one) => one.port === at).map(textOf)]),
    );
    expect(found).toEqual({
      back: ["backend danger: relay of socat, splice of go-proxy, splice of haproxy, splice-unknown of haproxy"],
      web: ["python3 include: go of go-proxy"],
      splicing: ["haproxy danger: splice of haproxy"],
      unread: ["haproxy danger: splice-unknown of haproxy"],
      // Behind pasta another program has the same port.
      pasta: [
        expect.stringMatching(/^pas(st|ta)\S* danger: splice-only of pas/),
        expect.stringMatching(/^python3 danger: /),
      ],
      nginx: ["nginx danger: fionread of nginx"],
      go: ["go-proxy include: go of go-proxy"],
      relay: ["socat include: relay of socat"],
      "relay in go": ["go-proxy danger: splice of go-proxy"],
    });
    const seen = services.flatMap(({ dangers }) => dangers.map(({ kind }) => kind));
    expect(kinds.filter((kind) => !seen.includes(kind))).toEqual([]);
  });
});

function textOf({ program, advice, dangers }: Advice["services"][number]): string {
  const named = dangers.map(({ kind, program: its }) => `${kind} of ${its}`).sort();
  return `${program} ${advice}: ${named.join(", ")}`;
}

function nginxConfig(at: number): string {
  const own = temporaryFolder();
  chmodSync(own, 0o755);
  const names = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  return `daemon off; worker_processes 1; pid ${own}/pid; error_log stderr;
events { }
http {
  access_log off; keepalive_requests 1000000000;
  ${names.map((name) => `${name}_temp_path ${own}/${name};`).join(" ")}
  server { listen 127.0.0.1:${at}; return 200 "page"; }
}
`;
}

function haproxyConfig(front: number, back: number): string {
  return `defaults
 mode tcp
 timeout connect 5s
 timeout client 30s
 timeout server 30s
 option splice-auto
listen proxy
 bind 127.0.0.1:${front}
 server backend 127.0.0.1:${back}
`;
}
