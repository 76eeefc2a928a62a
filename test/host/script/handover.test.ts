// SPDX-License-Identifier: Apache-2.0
import type { spawn } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { attachments, Host, isSkipped, readLink, shells } from "../../support/host.js";

describe.skipIf(isSkipped).each(shells)("under %s", (shell) => {
  test("a new generation replaces the old one, while connections live on and lose nothing", async () => {
    const host = new Host(shell);
    await host.apply();
    const traffic = await startPairs(host, 20);
    const before = (await host.status()).generations[0];
    expect(before?.sockets).toBe(40);
    const answer = await host.apply("--generation", host.nextGeneration);
    expect(answer).toMatchObject({ code: 0, stderr: "", stdout: expect.stringMatching(/^\d+\n$/) });
    expect(await host.status()).toMatchObject({
      healthy: true,
      serving: host.nextGeneration,
      current: host.nextGeneration,
      attached: [{ generation: host.nextGeneration, flags: "multi", cgroup: host.cgroup }],
      generations: [{ generation: host.nextGeneration, drain: false, sockets: 0 }],
    });
    expect(await exchange(traffic)).toBe("20 pairs are intact");
  });

  test("a detach waits for redirected bytes that are unread, counts them and reports them", async () => {
    const host = new Host(shell);
    await host.apply();
    const traffic = await startPairs(host, 3);
    await ask(traffic, "fill");
    const answer = await host.verb("detach", "--drain-seconds", "1");
    expect(answer.stdout).toMatch(/^done left=\d+ unread=3\n$/);
    expect(answer.stderr).toContain("3 of them hold unread bytes");
    expect(host.traces().filter((trace) => trace.startsWith(host.pins))).toEqual([]);
    expect(await exchange(traffic)).toBe("3 pairs are intact");
  });

  test("an attach to another cgroup attaches there before it detaches from the old one", async () => {
    const host = new Host(shell);
    await host.apply();
    expect(await host.verb("attach", "--cgroup", `${host.cgroup}-other`)).toMatchObject({ code: 0, stderr: "" });
    expect(attachments(host.cgroupFolder)).toEqual([]);
    expect(attachments(`${host.cgroupFolder}-other`)).toEqual(["track_sockets"]);
    expect(await host.status()).toMatchObject({ healthy: true, cgroup: `${host.cgroup}-other` });
  });

  test("the old generation serves until attach, and a revert before that puts everything back", async () => {
    const host = new Host(shell);
    await host.apply();
    const next = ["--generation", host.nextGeneration];
    for (const step of [
      "object install",
      "map create",
      "program load track",
      "program load redirect",
      "verdict attach",
    ]) {
      expect(await host.verb(step, ...next)).toMatchObject({ code: 0 });
    }
    expect(await host.status()).toMatchObject({
      serving: host.generation,
      problems: [`${host.nextGeneration} is declared but ${host.generation} serves`],
    });
    await host.apply();
    expect(await host.status()).toMatchObject({ healthy: true, serving: host.generation });
    expect(fs.readdirSync(host.home)).not.toContain(host.nextGeneration);
  });

  test("a revert to a generation that is long gone makes it again", async () => {
    const host = new Host(shell);
    await host.apply();
    await host.apply("--generation", host.nextGeneration);
    await host.apply("--generation", "cccccccccccc");
    await host.apply();
    expect(await host.status()).toMatchObject({ healthy: true, serving: host.generation });
    expect(
      fs
        .readdirSync(host.home)
        .filter((name) => /^[0-9a-f]{12}$/.test(name))
        .sort(),
    ).toEqual(["cccccccccccc", host.generation].sort());
  });

  test("attach alone makes what is missing, as after a reboot", async () => {
    const host = new Host(shell);
    await host.verb("apply", "--ports", "6379", "--off");
    await host.verb("detach");
    expect(await host.verb("attach")).toMatchObject({ code: 0, stderr: "" });
    expect(await host.status()).toMatchObject({ healthy: true, policy: { everything: false, ports: "6379" } });
  });

  test("an attach that fails leaves the old generation serving, not drained", async () => {
    const host = new Host(shell);
    await host.apply();
    const next = ["--generation", host.nextGeneration];
    await host.verb("object install", ...next);
    fs.rmdirSync(join(host.cgroupFolder, "below"));
    const refused = await host.verb("attach", ...next, "--cgroup", `${host.cgroup}/below`);
    expect(refused).toMatchObject({ code: 1, stdout: "" });
    expect(refused.stderr).toContain(`--cgroup ${host.cgroup}/below: expected the folder ${host.cgroupFolder}/below`);
    fs.mkdirSync(join(host.cgroupFolder, "below"));
    expect((await host.status()).generations.find(({ generation }) => generation === host.generation)).toMatchObject({
      drain: false,
    });
    expect(readLink(join(host.pins, "serving"))).toBe(host.generation);
  });
});

type Traffic = ReturnType<typeof spawn>;

/**
 * Opens connections of one process with itself, with enough exchanges on each that both ends are
 * enrolled.
 */
async function startPairs(host: Host, count: number): Promise<Traffic> {
  const traffic = host.start(process.execPath, "-e", pairsProgram, `${count}`);
  expect(await ask(traffic, "")).toBe(`${count} pairs are open`);
  return traffic;
}

const exchange = (traffic: Traffic) => ask(traffic, "exchange");

function ask(traffic: Traffic, word: string): Promise<string> {
  return new Promise((done) => {
    traffic.stdout?.once("data", (data) => done(data.toString().trim()));
    if (word !== "") traffic.stdin?.write(`${word}\n`);
  });
}

// This is text because it runs as a process in the private cgroup. "fill" writes while the readers
// are paused; "exchange" reads everything, makes ten more round trips, and compares all of it.
const pairsProgram = `
const net = require("node:net");
const count = Number(process.argv[1]);
const pairs = [];
const read = (socket, size) => new Promise((done) => {
  const look = () => {
    const data = socket.read(size);
    if (data === null) socket.once("readable", look); else done(data.toString());
  };
  look();
});
const turn = async ([client, server], text) => {
  for (const [from, to] of [[client, server], [server, client]]) {
    from.write(text);
    const found = await read(to, text.length);
    if (found !== text) throw new Error("expected " + text + ", found " + found);
  }
};
const server = net.createServer({ pauseOnConnect: false });
server.listen(0, "127.0.0.1", async () => {
  for (let i = 0; i < count; i++) {
    const accepted = new Promise((done) => server.once("connection", done));
    const client = net.connect(server.address().port, "127.0.0.1");
    const pair = [client, await accepted];
    for (const socket of pair) socket.setNoDelay(true);
    for (let n = 0; n < 20; n++) await turn(pair, "message " + n);
    pairs.push(pair);
  }
  console.log(count + " pairs are open");
});
let filled = 0;
process.stdin.on("data", async (data) => {
  if (data.toString().trim() === "fill") {
    // Otherwise libuv would read ahead as soon as this thread returns to its event loop.
    for (const [client, server] of pairs) { server._handle.readStop(); server._handle.reading = false; }
    for (const [client] of pairs) { client.write("left unread"); client.write("left unread"); }
    filled = 22;
    setTimeout(() => console.log("filled"), 200);
    return;
  }
  try {
    for (const pair of pairs) {
      if (filled > 0) {
        pair[1]._handle.reading = true; pair[1]._handle.readStart();
        const found = await read(pair[1], filled);
        if (found !== "left unread".repeat(2)) throw new Error("found " + found);
      }
      for (let n = 0; n < 10; n++) await turn(pair, "again " + n);
    }
    console.log(pairs.length + " pairs are intact");
  } catch (error) {
    console.log(error.message);
  }
});
`;
