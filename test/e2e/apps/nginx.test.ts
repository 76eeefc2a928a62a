// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from "node:crypto";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Datapath, expectCounters } from "../../bpf/datapath.js";
import { temporaryFolder } from "../../support/host.js";
import { freePort } from "../../support/port.js";
import { client, expectRedirected, fileWith, isSkippedWithout, over, Program } from "./program.js";

describe.skipIf(isSkippedWithout("nginx", "wrk", "python3"))("nginx", () => {
  test.each(["on", "off"])(
    "with sendfile %s, files of 1 byte to 6 MB arrive intact, also under wrk",
    async (sendfile) => {
      const { path, front } = await serve("", `sendfile ${sendfile};`);
      const what = [1, 1000, 100_000, 6_000_000].flatMap((size) =>
        Array(3).fill(`file:/${size}:${join(files(), `${size}`)}`),
      );
      expect(await ask(path, front, ...what)).toEqual({ missing: [] });
      await expectRedirected(path, 1, 20, 1_000_000);
      const load = await new Program(path, ["wrk", "-t1", "-c8", "-d1s", `http://127.0.0.1:${front}/1000`]).result();
      expect(load).toMatch(/Requests\/sec/);
      expect(load).not.toMatch(/Non-2xx|Socket errors/);
      await expectCounters(path, { pairs: over(8) });
    },
  );

  test("a proxy with keep-alive connections passes bodies of all sizes in both directions", async () => {
    const { path, front } = await serve();
    const what = [
      "get:1/100",
      "get:1100/100",
      "get:40/200000",
      "post:100",
      "post:100000",
      "slow:30/200000",
      "get:5/60000",
    ];
    const { facts } = JSON.parse(await path.ok("selftest"));
    expect(await ask(path, front, ...what, ...what)).toEqual({ missing: [] });
    await expectRedirected(path, 4, 100, 1_000_000);
    // The first answers are many small messages, for which the direction to the client leaves. That
    // to nginx must not leave where nginx would miss what comes over TCP.
    if (facts.fionread_tcp === "zero") expect(path.counters().leaves).toBeLessThanOrEqual(1);
  });

  // After a read that filled its buffer, nginx asks FIONREAD how much is left, and if the answer is
  // nothing, it waits for the next edge of epoll.
  test("with listen … deferred, requests of any length are answered, over TCP if FIONREAD is wrong", async () => {
    const { path, front } = await serve("deferred");
    const { facts } = JSON.parse(await path.ok("selftest"));
    const what = ["post:10", "post:500", "post:3000", "post:100000", "get:40/200000"];
    expect(await ask(path, front, ...what, ...what)).toEqual({ missing: [] });
    // Of the two connections of a request, the one to the service behind nginx is enrolled in any
    // case.
    if (facts.fionread_tcp === "exact" && facts.fionread_redirected === "exact")
      await expectRedirected(path, 4, 30, 1_000_000);
    else await expectCounters(path, { refused_deferred: over(8), pairs: over(0) });
    await expectCounters(path, { redirected_messages: over(0), redirect_failed: 0, refused_other: 0 });
  });

  test("with a plain listen, the same requests are answered through the bypass", async () => {
    const { path, front } = await serve();
    const what = ["post:10", "post:500", "post:3000", "post:100000", "post:1000000"];
    expect(await ask(path, front, ...what)).toEqual({ missing: [] });
    await expectRedirected(path, 6, 20, 1_000_000);
  });

  // One first message in two thousand meets accept() on the other CPU, and one in ten thousand
  // meets epoll_ctl() between two checks of a splice guard.
  test.each([
    ["without", []],
    ["with", ["-DGUARD_ALWAYS"]],
  ] as const)(
    "with a plain listen %s a splice guard, thousands of new connections with an immediate request are answered",
    async (_, guard) => {
      const { path, front } = await serve("", "", await Datapath.make([...guard, "-DSHORT_CONNECTIONS=1000000000"]));
      expect(await ask(path, front, "posts:10000/3000")).toEqual({ missing: [] });
      await expectCounters(path, { pairs: over(10_000), redirect_failed: 0 });
    },
  );

  test("with a plain listen and a splice guard, requests are answered also after pauses that send a message over TCP", async () => {
    const { path, front } = await serve("", "", await Datapath.make(["-DGUARD_ALWAYS", "-DREFRESH_JIFFIES=2"]));
    const what = ["post:3000", "post:100000", "late:20/3000", "late:20/12000"];
    expect(await ask(path, front, ...what)).toEqual({ missing: [] });
    await expectRedirected(path, 2, 20, 10_000);
  });
});

let folder: string | undefined;
function files(): string {
  if (folder === undefined) {
    folder = temporaryFolder();
    chmodSync(folder, 0o755);
    for (const size of [1, 1000, 100_000, 6_000_000]) writeFileSync(join(folder, `${size}`), randomBytes(size));
  }
  return folder;
}

/**
 * Starts nginx with the files of this test; for every path COUNT/SIZE it is a proxy of the service
 * in clients/web.py.
 */
async function serve(listen = "", http = "", old?: Datapath) {
  const [front, back] = [await freePort(), await freePort()];
  const path = old ?? (await Datapath.make());
  await new Program(path, [...client("web"), "serve", back]).listens(back);
  const own = temporaryFolder();
  chmodSync(own, 0o755);
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    (name) => `${name}_temp_path ${own}/${name};`,
  );
  const config = fileWith(`daemon off; worker_processes 1; pid ${own}/pid; error_log stderr;
events { }
http {
  access_log off; ${http} ${temporary.join(" ")} client_max_body_size 100m;
  upstream service { server 127.0.0.1:${back}; keepalive 4; }
  server {
    listen 127.0.0.1:${front} ${listen}; root ${files()};
    location ~ ^/[0-9]+$ { }
    location / { proxy_pass http://service; proxy_http_version 1.1; proxy_set_header Connection ""; }
  }
}
`);
  await new Program(path, ["nginx", "-c", config, "-e", "stderr"]).listens(front);
  return { path, front };
}

async function ask(path: Datapath, port: number, ...what: string[]): Promise<unknown> {
  return JSON.parse(await new Program(path, [...client("web"), "ask", port, ...what]).result(60));
}
