// SPDX-License-Identifier: Apache-2.0
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Datapath } from "../../bpf/datapath.js";
import { freePort } from "../../support/port.js";
import { client, expectRedirected, isSkippedWithout, Program } from "./program.js";

const bodies = [
  "get:1/100",
  "get:1000/100",
  "get:40/200000",
  "slow:60/200000",
  "post:100",
  "post:100000",
  "post:1000000",
];

async function expectBodies(path: Datapath, port: number): Promise<void> {
  const answer = await new Program(path, [...client("web"), "ask", port, ...bodies, ...bodies]).result(60);
  expect(JSON.parse(answer)).toEqual({ missing: [] });
  await expectRedirected(path, 7, 50, 1_000_000);
}

describe.skipIf(isSkippedWithout("python3"))("a server written for Node", () => {
  test("bodies of all sizes pass in both directions, also to a slow reader that makes it wait", async () => {
    const path = await Datapath.make();
    const port = await freePort();
    await new Program(path, [process.execPath, join(__dirname, "node-server.mjs"), port]).listens(port);
    await expectBodies(path, port);
  });
});

describe.skipIf(isSkippedWithout("java", "javac", "python3"))("a server written in Java", () => {
  test("bodies of all sizes pass in both directions, and available() counts redirected bytes if FIONREAD does", async () => {
    const path = await Datapath.make();
    const [port, second] = [await freePort(), await freePort()];
    await new Program(path, ["java", "-Xmx256m", join(__dirname, "java-server/Server.java"), port, second]).listens(
      port,
    );
    const { facts } = JSON.parse(await path.ok("selftest"));
    const found = JSON.parse(await new Program(path, [...client("available"), second]).result());
    expect(found).toEqual(Array(10).fill(facts.fionread_redirected === "exact" ? 999 : 0));
    await expectBodies(path, port);
  });
});
