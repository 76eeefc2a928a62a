// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { Datapath, expectCounters } from "../../bpf/datapath.js";
import { temporaryFolder } from "../../support/host.js";
import { freePort } from "../../support/port.js";
import { client, expectRedirected, isSkippedWithout, Program, withoutSplice } from "./program.js";

const EINVAL = 22;

describe.skipIf(isSkippedWithout("go", "python3"))("proxies written in Go", () => {
  let proxy = "";
  beforeAll(() => {
    proxy = join(temporaryFolder(), "go-proxy");
    execFileSync("go", ["build", "-buildvcs=false", "-o", proxy, "."], { cwd: join(__dirname, "go-proxy") });
  });

  async function play(kind: string, isListed: boolean, service: string, what: string[] = [], before: string[] = []) {
    const [front, back, other] = [await freePort(), await freePort(), await freePort()];
    const path = await Datapath.make([], "--ports", isListed ? `${front},${back}` : `${other}`);
    await new Program(path, [...client(service), "serve", back]).listens(back);
    // From 1.24 on Go listens for MPTCP, whose sockets are never enrolled.
    const words = [...before, "env", "GODEBUG=multipathtcp=0", proxy, kind, `127.0.0.1:${front}`, `127.0.0.1:${back}`];
    await new Program(path, words).listens(front);
    return { path, answer: JSON.parse(await new Program(path, [...client(service), "ask", front, ...what]).result()) };
  }

  test("a limit: io.Copy between two TCP connections splices, so nothing comes through", async () => {
    const { path, answer } = await play("tcp", true, "echo");
    expect(answer).toEqual({ replies: 0, stuck: true });
    await expectRedirected(path, 2, 1, 1);
  });

  test("with both ports of the proxy left out, everything comes through", async () => {
    const { path, answer } = await play("tcp", false, "echo");
    expect(answer).toEqual({ replies: 200, stuck: false });
    await expectCounters(path, { pairs: 0, policy_skipped: 8 });
  });

  test("with splice refused by EINVAL, everything comes through the bypass", async () => {
    const { path, answer } = await play("tcp", true, "echo", [], withoutSplice(EINVAL));
    expect(answer).toEqual({ replies: 200, stuck: false });
    await expectRedirected(path, 4, 400, 1_000_000);
  });

  test("httputil.ReverseProxy, which reads and writes, passes bodies of all sizes", async () => {
    const what = ["get:1/100", "get:1000/100", "get:40/200000", "post:100", "post:100000", "post:1000000"];
    const { path, answer } = await play("http", true, "web", what);
    expect(answer).toEqual({ missing: [] });
    await expectRedirected(path, 5, 50, 500_000);
  });
});
