// SPDX-License-Identifier: Apache-2.0
import * as fs from "node:fs";
import { join } from "node:path";
import type { ResourceTransformation } from "@pulumi/pulumi";
import { describe, expect, test } from "vitest";
import type { Changes } from "./follow.js";
import { each, isSkipped, Machine } from "./machine.js";

// These do not prove `up --strict`, which checks the plan of its own preview with the same code of
// the engine.
describe.skipIf(isSkipped).each([false, true])("with detectDrift %s", (detectDrift) => {
  const make = () => {
    const machine = new Machine();
    machine.args = { ...machine.args, detectDrift, selfTest: { enabled: true } };
    return machine;
  };

  test("up does what its plan says for an install, no change, an update, a new generation and a replacement", async () => {
    const machine = make();
    const plan = planOf(machine);
    expect(await plan()).toEqual(each("create"));
    expect(await plan()).toEqual({});
    machine.args = { ...machine.args, traffic: { ports: ["1-65535"] } };
    expect(await plan()).toEqual({ policy: "update" });
    machine.args = { ...machine.args, limits: { sockets: 1024 } };
    expect(await plan()).toEqual(each("update"));
    machine.args = {
      ...machine.args,
      hosts: { web: { local: true, stateDir: machine.stateDir, machineId: "another" } },
    };
    for (const ops of Object.values(await plan())) expect(ops).toContain("replace");
    expect(machine.status()).toMatchObject({ healthy: true, problems: [] });
    await machine.destroy();
    expect(machine.traces()).toEqual([]);
  }, 240_000);

  test("replacing one step also replaces those after it", async () => {
    const machine = make();
    await machine.up();
    const replace = (await machine.exported()).flatMap(({ urn }) => (urn.endsWith("::edge-web-verdict") ? [urn] : []));
    const ops = Object.entries((await machine.up({ replace })).changes);
    const replaced = ops.flatMap(([step, op]) => (op.includes("replace") ? [step] : []));
    expect(replaced.sort()).toEqual(["attachment", "policy", "selftest", "verdict"]);
    expect(machine.status()).toMatchObject({ healthy: true, problems: [] });
    expect((await machine.preview()).changes).toEqual({});
  });

  test("a stack that has the id of the previous step in its triggers, from an earlier version, keeps them", async () => {
    const machine = make();
    let place: Promise<string[]> | undefined;
    /**
     * Registers the steps as earlier versions of the package did: with the first step's place in
     * each step, and the id.
     */
    const asBefore: ResourceTransformation = ({ name, props, opts }) => {
      if (!("triggers" in props)) return undefined;
      if (name.endsWith("-object")) place = Promise.resolve(props.triggers);
      else
        props.triggers = Promise.all([place, props.triggers]).then(([first, its]) => [
          ...(first ?? []).slice(0, -1),
          ...[its.at(-1), `before ${name}`],
        ]);
      return { props, opts };
    };
    machine.opts = { transformations: [asBefore] };
    await machine.up();
    machine.opts = {};
    expect((await machine.preview()).changes).toEqual({});
    machine.args = { ...machine.args, limits: { sockets: 1024 } };
    expect(await planOf(machine)()).toEqual(each("update"));
    expect(machine.stateFile()).toContain("before edge-web-attachment");
    expect(machine.status()).toMatchObject({ healthy: true, problems: [] });
  });
});

describe.skipIf(isSkipped)("with detectDrift", () => {
  test("up does what its plan says for a machine that has lost everything", async () => {
    const machine = new Machine();
    machine.args = { ...machine.args, detectDrift: true };
    await machine.up();
    machine.host("remove", "--force");
    expect(await planOf(machine)()).toEqual(each("update"));
    expect(machine.status()).toMatchObject({ healthy: true, problems: [] });
    fs.rmSync(machine.stateDir, { recursive: true });
    expect(await planOf(machine)()).toEqual(each("update"));
    expect((await machine.preview()).changes).toEqual({});
  });
});

/** Runs up with the plan of a preview, and returns the changes, which must be the same in both. */
function planOf(machine: Machine): () => Promise<Changes> {
  const plan = join(machine.folder, "plan.json");
  return async () => {
    const planned = await machine.preview({ plan });
    expect((await machine.up({ plan })).changes).toEqual(planned.changes);
    return planned.changes;
  };
}
