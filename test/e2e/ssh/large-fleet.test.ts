// SPDX-License-Identifier: Apache-2.0
import { execFile } from "node:child_process";
import * as fs from "node:fs";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, describe, expect, test } from "vitest";
import { Endpoints } from "../../../tools/bench/fleet/endpoints.js";
import { exampleOn } from "../../../tools/bench/fleet/large.js";
import { isSkipped, makeKeys } from "./far.js";

const root = resolve(__dirname, "../../..");

// This does not prove that its machines are installed, because a recorder answers in their place;
// test/e2e/ssh/ways-in.test.ts does that with the same arguments.
describe.skipIf(isSkipped)("examples/large-fleet", () => {
  const endpoints = new Endpoints();
  afterAll(() => endpoints.close());

  const run = async (verb: string, machines: object, stacks = 3) => {
    fs.writeFileSync(join(endpoints.folder, "machines.json"), JSON.stringify(machines));
    const { words, env } = exampleOn(endpoints, verb, stacks);
    const ended = await promisify(execFile)(join(root, "node_modules/.bin/tsx"), words, {
      cwd: root,
      env,
    }).catch((error: { stdout: string; stderr: string }) => error);
    const lines = ended.stdout
      .trim()
      .split("\n")
      .filter((line) => line !== "");
    const told = lines.map((line) => /^fleet-(\d)-of-\d: (\d+) machines, \d+ s, (.*)$/.exec(line) ?? [line]);
    return {
      stderr: ended.stderr,
      stacks: told.map(([, stack]) => Number(stack)),
      machines: told.reduce((sum, [, , count]) => sum + Number(count), 0),
      steps: told.map(([, , , changes]) => JSON.parse(changes ?? "{}") as Record<string, number>),
    };
  };
  const sum = (steps: Record<string, number>[], op: string) => steps.reduce((all, one) => all + (one[op] ?? 0), 0);

  test("installs on each machine in one of its stacks, then changes nothing, and stops at the first stack that fails", async () => {
    await endpoints.open(6);
    const { hostKey } = endpoints;
    const machines = Object.fromEntries(endpoints.addresses.map((address, at) => [`web${at}`, { address, hostKey }]));
    const { publicKey: wrong } = makeKeys();
    const strange = Object.fromEntries(
      Object.entries(machines).map(([name, one]) => [name, { ...one, hostKey: wrong }]),
    );

    const refused = await run("up", strange);
    expect(refused.stderr).toMatch(/^fleet-[01]-of-3: up failed: /);
    expect(refused.stderr.match(/up failed/g)).toHaveLength(1);
    expect(refused.stderr).toContain("the host has another host key than the declared one");
    expect(sum(refused.steps, "create")).toBe(0);

    const first = await run("up", machines);
    expect([first.stderr, first.stacks, first.machines]).toEqual(["", [0, 1, 2], 6]);
    expect(endpoints.dials()).toBe(6 * 9);
    const again = await run("up", machines);
    expect(endpoints.dials()).toBe(6 * 9);
    expect(again.steps.map((one) => Object.keys(one))).toEqual([["same"], ["same"], ["same"]]);
    const { web0: _, ...fewer } = machines;
    const less = await run("up", fewer);
    expect([less.machines, sum(less.steps, "delete")]).toEqual([5, 9]);
    const other = await run("up", fewer, 2);
    expect(other.stderr).toBe(
      "--stacks: expected 3, which this backend has stacks of, found 2; type destroy --stacks 3 before you take another number\n",
    );
    const gone = await run("destroy", fewer);
    expect(sum(gone.steps, "delete")).toBeGreaterThan(5 * 9);
    expect((await run("preview", fewer, 2)).stderr).toBe("");
  }, 300_000);
});
