// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { describe, expect, test, vi } from "vitest";
import type { Advice, SocketBypassArgs } from "../../../src/index.js";
import { freePort } from "../../support/port.js";
import { each, isSkipped, Machine } from "./machine.js";

const isLacking = ["redis-server", "redis-benchmark"].some((tool) => spawnSync("which", [tool]).status !== 0);
if (isLacking) console.warn("test/e2e/local/observe: expected redis-server and redis-benchmark, found none");

describe.skipIf(isSkipped || (isLacking && !process.env.CI))("observe", () => {
  test("names the port that would gain and loads nothing; traffic is an ordinary update later, and destroy leaves nothing", async () => {
    const machine = new Machine();
    const port = await startRedis(machine);
    const calls = logBpftool(machine);
    const { traffic: _, ...without } = machine.args;
    const observe = { seconds: 3 };
    machine.args = { ...without, observe };

    const planned = await machine.preview();
    expect(planned.changes).toEqual({ observe: "create" });
    expect(planned.said).toContain("observe: without traffic, up loads nothing into the datapath of web");
    expect(machine.traces()).toEqual([]);

    const first = await machine.up();
    expect(first.changes).toEqual({ observe: "create" });
    expect(first.said).toMatch(new RegExp(`observe: .*port ${port} \\(redis-server\\) would gain`));
    expect(machine.traces()).toEqual([]);
    // To read what other instances on this machine bypass, it loads the program of `flows` for a
    // moment.
    const changes = calls().filter((call) => /\b(load|loadall|attach|create|pin)\b/.test(call));
    expect(changes.filter((call) => !call.includes("/flows.bpf.o "))).toEqual([]);
    const seen = await adviceOf(machine);
    expect(seen.traffic.ports).toContain(port);
    const redis = seen.services.filter((service) => service.port === port);
    expect(redis).toEqual([
      expect.objectContaining({
        program: "redis-server",
        kind: "request",
        advice: "include",
        connections: 4,
        onHost: 4,
      }),
    ]);
    expect(redis[0]?.clients).toEqual(["redis-benchmark"]);
    expect(redis[0]?.perSecond.inbound).toBeGreaterThan(100);
    expect((await machine.up()).changes).toEqual({});

    machine.args = { ...without, observe, traffic: { ports: [`${port}`] } };
    const installed = await machine.up();
    expect(installed.changes).toEqual(each("create"));
    expect(installed.said).not.toContain(`port ${port}`);
    expect(machine.status()).toMatchObject({ healthy: true, problems: [] });
    // Only new connections join the bypass.
    startClients(machine, port);
    await vi.waitFor(() => expect(machine.counter("redirected_messages")).toBeGreaterThan(0), { timeout: 20_000 });

    machine.args = { ...without, observe, traffic: { ports: ["1"] } };
    const other = await machine.up();
    expect(other.changes).toEqual({ policy: "update" });
    expect(other.said).toContain(`observe: port ${port} (redis-server), which traffic does not list, would gain`);

    machine.args = { ...without, observe: { ...observe, rerun: "2026-12-01" }, traffic: { ports: ["1"] } };
    expect((await machine.up()).changes).toEqual({ observe: "update" });
    machine.args = { ...without, traffic: { ports: ["1"] } };
    expect((await machine.up()).changes).toEqual({ observe: "delete" });
    expect(machine.status()).toMatchObject({ healthy: true, problems: [] });
    await machine.destroy();
    expect(machine.traces()).toEqual([]);
  }, 240_000);

  test("is in the state once, beside the stack's own output, and destroy has nothing to undo", async () => {
    const machine = new Machine();
    const port = await startRedis(machine);
    const { traffic: _, ...without } = machine.args;
    machine.args = { ...without, observe: { seconds: 1 } } satisfies SocketBypassArgs;
    await machine.up();
    const holders = (await machine.exported()).filter((one) => JSON.stringify(one).includes(`${port}`));
    expect(holders.map(({ type }) => type).sort()).toEqual(["command:local:Command", "pulumi:pulumi:Stack"]);
    expect(JSON.stringify(holders.find(({ type }) => type.startsWith("command:"))?.inputs)).not.toContain(`${port}`);
    expect((await machine.destroy()).changes).toEqual({ observe: "delete" });
    expect(machine.traces()).toEqual([]);
  }, 120_000);

  test("fails if the host answers with something else", async () => {
    const machine = new Machine();
    machine.writeTool("become", 'case "$*" in *" advise "*) cat >/dev/null; echo Welcome ;; *) exec "$@" ;; esac');
    const become = join(machine.toolFolder, "become");
    const { traffic: _, ...without } = machine.args;
    const hosts = { web: { local: true, stateDir: machine.stateDir, become } };
    machine.args = { ...without, hosts, observe: { seconds: 1 } };
    const said = await machine.failure(machine.up());
    expect(said).toContain("expected the host to answer with its advice, found another answer");
    await machine.destroy();
    // Nothing ran there that would have removed the files.
    expect(machine.traces()).toEqual([join(machine.stateDir, `_staged-${machine.instance()}`)]);
  }, 120_000);

  test("says why if the host cannot be observed, and then nothing is installed", async () => {
    const machine = new Machine();
    // The script refuses a folder that others may write to.
    fs.mkdirSync(machine.stateDir);
    fs.chmodSync(machine.stateDir, 0o777);
    machine.args = { ...machine.args, observe: { seconds: 1 } };
    expect(await machine.failure(machine.up())).toContain(`${machine.stateDir}: expected root's own`);
    expect(machine.traces()).toEqual([]);
  }, 120_000);
});

/** Starts a Redis and four clients that ask it all the time, and returns its port. */
async function startRedis(machine: Machine): Promise<number> {
  const port = await freePort();
  const options = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", machine.folder];
  machine.start("redis-server", "--port", `${port}`, ...options).stdout.resume();
  await vi.waitFor(() => dial(port), { timeout: 20_000 });
  startClients(machine, port);
  return port;
}

/** Starts four clients, which go on until the test ends. */
function startClients(machine: Machine, port: number): void {
  machine.start("redis-benchmark", "-q", "-p", `${port}`, "-c", "4", "-n", "1000000000", "-t", "get").stdout.resume();
}

function dial(port: number): Promise<void> {
  return new Promise((done, fail) => {
    const socket = connect({ port, host: "127.0.0.1" }, () => done(void socket.destroy()));
    socket.on("error", fail);
  });
}

/** Has the host script log each call of bpftool, and returns what gives the calls. */
function logBpftool(machine: Machine): () => string[] {
  const log = join(machine.folder, "bpftool.log");
  const real = spawnSync("which", ["bpftool"], { encoding: "utf8" }).stdout.trim();
  machine.writeTool("bpftool", `echo "$*" >>'${log}'\nexec '${real}' "$@"`);
  return () => (fs.existsSync(log) ? fs.readFileSync(log, "utf8").split("\n").filter(Boolean) : []);
}

async function adviceOf(machine: Machine): Promise<Advice> {
  const { advice } = await (await machine.open()).outputs();
  return advice?.value.web as Advice;
}
