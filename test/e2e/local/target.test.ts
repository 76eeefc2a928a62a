// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { isSkipped, Machine } from "./machine.js";

describe.skipIf(isSkipped)("a run that leaves out a step of a new generation", () => {
  test("is refused in one sentence, in a preview too, changes nothing, and is told a command that works", async () => {
    const machine = new Machine();
    await machine.up();
    const before = machine.generation();
    const urns = new Map((await machine.exported()).map(({ urn }) => [urn.split("::").at(-1) ?? "", urn]));
    const urnOf = (step: string) => urns.get(`edge-web-${step}`) ?? "";
    machine.args = { ...machine.args, limits: { sockets: 1024 } };
    const advice = "type: pulumi up --target '**::edge-web-*'";
    const target = [urnOf("attachment")];
    const refused = [
      await machine.failure(machine.preview({ target })),
      await machine.failure(machine.up({ target })),
      await machine.failure(machine.up({ exclude: [urnOf("object")] })),
    ];
    expect(machine.status()).toMatchObject({ healthy: true, serving: before });
    refused.push(await machine.failure(machine.up({ target: [urnOf("object"), ...target] })));
    for (const said of refused) {
      expect(said).toMatch(
        /the steps of edge-web: expected edge-web-[a-z-]+ to have run for generation [0-9a-f]{12} before those behind it, found [0-9a-f]{12}, because --target or --exclude leaves it out; /,
      );
      expect(said).toContain(advice);
      expect(said).not.toMatch(/cannot open| {4}at /);
    }
    expect(machine.generation()).toBe(before);
    // The run succeeds if a host is left out as a whole, and so does a refresh or a destroy that
    // runs the program.
    expect((await machine.preview({ exclude: ["**::edge-web-*"] })).changes).toEqual({});
    expect((await machine.up({ exclude: ["**::edge-web-*"] })).changes).toEqual({});
    await (await machine.open()).refresh({ runProgram: true });
    expect(machine.generation()).toBe(before);
    await machine.up({ target: ["**::edge-web-*"] });
    expect(machine.status()).toMatchObject({ healthy: true, problems: [] });
    expect(machine.generation()).not.toBe(before);
    expect((await machine.up()).changes).toEqual({});
    // Each step of the installed generation may run alone.
    machine.args = { ...machine.args, enabled: false };
    expect((await machine.up({ target: [urnOf("policy")] })).changes).toEqual({ policy: "update" });
    machine.args = { ...machine.args, limits: { sockets: 2048 } };
    await (await machine.open()).destroy({ runProgram: true });
    expect(machine.traces()).toEqual([]);
  });
});
