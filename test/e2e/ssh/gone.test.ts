// SPDX-License-Identifier: Apache-2.0
import { local } from "@pulumi/command";
import { describe, expect, test } from "vitest";
import { BypassHost, SocketBypass } from "../../../src/index.js";
import { Far, isSkipped, makeKeys } from "./far.js";
import { Fleet } from "./fleet.js";

const every = { traffic: { everything: true }, spliceGuard: "off" as const };
const selfTest = { enabled: false };

describe.skipIf(isSkipped)("a machine that is gone", () => {
  test("is skipped if its VM is deleted; otherwise it fails by name in bounded time, blocks no other, and 'state delete' removes it", async () => {
    const keys = makeKeys();
    const [lost, vm, stays] = [new Far({ keys }), new Far({ keys }), new Far({ keys })];
    for (const far of [lost, vm, stays]) await far.start();
    const patience = { dialErrorLimit: 0, perDialTimeout: 2 };
    const connection = (far: Far) => far.connection(patience);
    let isThere = true;
    const fleet = new Fleet({ hosts: {}, ...every }, async () => {
      const hosts = { stays: { connection: connection(stays) } };
      const all = isThere ? { ...hosts, lost: { connection: connection(lost) } } : hosts;
      const rollout = isThere ? { canary: ["lost"] } : {};
      new SocketBypass("edge", { hosts: all, rollout, ...every, selfTest });
      if (!isThere) return {};
      const machine = new local.Command("vm", { create: "echo made", delete: "echo deleted" });
      const args = { connection: connection(vm), ...every, selfTest };
      new BypassHost("onvm", args, { deletedWith: machine });
      return {};
    });
    await fleet.up();
    for (const far of [lost, vm, stays]) expect(far.status()).toMatchObject([{ healthy: true }]);

    isThere = false;
    for (const far of [lost, vm]) far.unplug();
    const { said, changes } = await fleet.failure(fleet.up({ continueOnError: true }));
    expect(said).toMatch(/edge-lost-attachment[\s\S]*i\/o timeout/);
    expect(said).not.toMatch(/onvm[^\n]*error/);
    expect(Object.keys(changes).filter((name) => name.startsWith("stays"))).toEqual([]);
    expect(fleet.urns().filter((urn) => urn.includes("onvm"))).toEqual([]);

    const object = fleet.urns().find((urn) => urn.endsWith("::edge-lost-object")) ?? "";
    await fleet.cli("state", "delete", "--yes", "--target-dependents", object);
    expect((await fleet.up()).changes).toEqual({});
    expect(fleet.urns().filter((urn) => urn.includes("::edge-stays-"))).toHaveLength(9 - 1);
    expect((await fleet.destroy()).changes).toHaveProperty("stays-object");
    expect(stays.traces()).toEqual([]);
    // Nobody could reach these.
    for (const far of [lost, vm]) expect(far.status()).toMatchObject([{ healthy: true }]);
  }, 120_000);
});
