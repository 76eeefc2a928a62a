// SPDX-License-Identifier: Apache-2.0
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { batchesOf } from "../../../src/components/rollout";
import { type Rollout, SocketBypass } from "../../../src/index";
import { answerOf, far } from "../far";
import { commandsOf, record } from "../record";

const keys = fc.uniqueArray(fc.stringMatching(/^[a-c0-9][a-c0-9.-]{0,3}$/), { minLength: 1, maxLength: 30 });
const plan = keys.chain((hosts) =>
  fc.record({
    hosts: fc.constant(hosts),
    canary: fc.subarray(hosts, { minLength: 0 }),
    batchSize: fc.integer({ min: 1, max: 12 }),
  }),
);

describe("for any hosts, canaries and batch size", () => {
  test("each host is in one batch, the canaries in the first; no other batch is too large, and names decide the order", () => {
    fc.assert(
      fc.property(plan, ({ hosts, canary, batchSize }) => {
        const batches = batchesOf(hosts, { canary, batchSize });
        expect(batches.flat().sort()).toEqual([...hosts].sort());
        if (canary.length > 0) expect(batches[0]).toEqual(canary);
        const others = canary.length > 0 ? batches.slice(1) : batches;
        for (const batch of others.slice(0, -1)) expect(batch).toHaveLength(batchSize);
        expect(others.flat()).toEqual([...others.flat()].sort());
        expect(batchesOf([...hosts].reverse(), { canary, batchSize })).toEqual(batches);
      }),
    );
  });

  test("adding a host keeps the order of the others", () => {
    fc.assert(
      fc.property(plan, fc.stringMatching(/^[a-c]{5}$/), ({ hosts, ...rollout }, added) => {
        const after = batchesOf([...hosts, added], rollout).flat();
        expect(after.filter((host) => host !== added)).toEqual(batchesOf(hosts, rollout).flat());
      }),
    );
  });
});

test("without a roll-out all hosts are one batch", () => {
  expect(batchesOf(["b", "a"])).toEqual([["a", "b"]]);
});

const names = ["a", "b", "c", "d", "canary"];
const make = async (rollout?: Rollout, hosts = names) => {
  const declared = Object.fromEntries(hosts.map((host) => [host, far]));
  const args = { traffic: { everything: true }, hosts: declared, ...(rollout && { rollout }) };
  const commands = commandsOf(await record(() => new SocketBypass("edge", args), false, undefined, answerOf));
  return new Map(commands.map((command) => [command.name, command]));
};

test("the first step of a host waits for the last step of each host in the batch before, and no other step does", async () => {
  const commands = await make({ canary: ["canary"], batchSize: 2 });
  const waits = (host: string) => commands.get(`edge-${host}-object`)?.dependencies;
  expect(waits("canary")).toEqual([]);
  for (const host of ["a", "b"]) expect(waits(host)).toEqual(["edge-canary-attachment"]);
  for (const host of ["c", "d"]) expect(waits(host)).toEqual(["edge-a-attachment", "edge-b-attachment"]);
  const foreign = [...commands].filter(([name, { dependencies }]) => {
    const host = name.split("-")[1];
    return !name.endsWith("-object") && dependencies.some((one) => !one.startsWith(`edge-${host}-`));
  });
  expect(commands.size).toBe(5 * 8);
  expect(foreign).toEqual([]);
});

test("a roll-out changes only dependencies, and so does adding a host to it", async () => {
  const [plain, rolled, more] = [
    await make(),
    await make({ batchSize: 2 }),
    await make({ batchSize: 2 }, [...names, "aa"]),
  ];
  for (const [name, one] of plain) {
    for (const other of [rolled, more])
      expect({ ...other.get(name), dependencies: [] }).toEqual({ ...one, dependencies: [] });
  }
});
