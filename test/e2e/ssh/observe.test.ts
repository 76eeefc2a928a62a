// SPDX-License-Identifier: Apache-2.0
import { spawn, spawnSync } from "node:child_process";
import { connect } from "node:net";
import { describe, expect, test, vi } from "vitest";
import { type Advice, SocketBypass, type SocketBypassArgs } from "../../../src/index.js";
import { freePort } from "../../support/port.js";
import { atEnd, Far, isSkipped, makeFolder, makeKeys } from "./far.js";
import { Fleet } from "./fleet.js";

const isLacking = ["redis-server", "redis-benchmark"].some((tool) => spawnSync("which", [tool]).status !== 0);
if (isLacking) console.warn("test/e2e/ssh/observe: expected redis-server and redis-benchmark, found none");

describe.skipIf(isSkipped || (isLacking && !process.env.CI))("observe over SSH", () => {
  test("returns the advice of each host in the order of the roll-out and leaves nothing there; traffic comes later without a replacement", async () => {
    const keys = makeKeys();
    const fars = { one: await new Far({ keys }).start(), two: await new Far({ keys }).start() };
    const port = await freePort();
    start(fars.one, "redis-server", "--port", `${port}`, "--protected-mode", "no", "--save", "");
    await vi.waitFor(() => dial(fars.one.address, port), { timeout: 20_000 });
    start(fars.one, "redis-benchmark", "-q", "-p", `${port}`, "-c", "4", "-n", "1000000000", "-t", "get");
    const args: SocketBypassArgs = {
      hosts: { one: { connection: fars.one.connection() }, two: { connection: fars.two.connection() } },
      rollout: { canary: ["two"] },
      observe: { seconds: 2 },
      ...{ spliceGuard: "off", selfTest: { enabled: false } },
    };
    const fleet: Fleet = new Fleet(args, async () => {
      const { advice } = new SocketBypass("edge", fleet.args);
      return { advice };
    });

    const { changes } = await fleet.up();
    expect(Object.entries(changes)).toEqual([
      ["two-observe", "create"],
      ["one-observe", "create"],
    ]);
    for (const far of Object.values(fars)) expect(far.traces()).toEqual([]);
    const outputs = await (await fleet.open()).outputs();
    const seen: Record<string, Advice> = outputs.advice?.value;
    const its = seen.one?.services.find((service) => service.port === port);
    expect(its).toMatchObject({ program: "redis-server", clients: ["redis-benchmark"], onHost: 4, advice: "include" });
    expect((await fleet.up()).changes).toEqual({});

    fleet.args = { ...args, traffic: { ports: [`${port}`] } };
    const later = Object.entries((await fleet.up()).changes);
    expect(later).toHaveLength(2 * 8);
    for (const [, op] of later) expect(op).toBe("create");
    for (const far of Object.values(fars)) expect(far.status()).toMatchObject([{ healthy: true, problems: [] }]);
    await fleet.destroy();
    for (const far of Object.values(fars)) expect(far.traces()).toEqual([]);
  }, 180_000);

  test("needs less than 7,000 bytes of state for a host, besides its advice", async () => {
    const far = await new Far({ keys: makeKeys() }).start();
    const fleet = new Fleet({ hosts: { web: { connection: far.connection() } }, observe: { seconds: 1 } });
    await fleet.up();
    const { resources } = JSON.parse(fleet.stateFile()).checkpoint.latest as { resources: Kept[] };
    const its = resources.filter(({ urn }) => /BypassHost/.test(urn));
    expect(its).toHaveLength(2);
    const advice = its.flatMap(({ outputs }) =>
      outputs?.stdout === undefined ? [] : [JSON.stringify(outputs.stdout)],
    );
    expect(advice).toHaveLength(1);
    const bytes = JSON.stringify(its).length - `${advice}`.length;
    expect({ bytes, isFew: bytes < 7000 }).toEqual({ bytes, isFew: true });
    await fleet.destroy();
  }, 120_000);
});

interface Kept {
  readonly urn: string;
  readonly outputs?: { readonly stdout?: string };
}

/** Starts a program on the machine, which ends with the file's tests. */
function start(far: Far, ...words: readonly string[]): void {
  const child = spawn("nsenter", [...far.enter(), ...words], { stdio: "ignore", cwd: makeFolder() });
  atEnd(() => child.kill("SIGKILL"));
}

function dial(host: string, port: number): Promise<void> {
  return new Promise((done, fail) => {
    const socket = connect({ port, host }, () => done(void socket.destroy()));
    socket.on("error", fail);
  });
}
