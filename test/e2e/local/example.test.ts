// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { Example } from "../../support/example.js";

// This does not prove that its program observes or installs; observe.test.ts does that with the
// same arguments.
test("examples/observe plans a look without ports, and the steps of a host behind it with them", () => {
  const example = new Example("observe");
  const plan = () => {
    const commands = example.plan<Step>().filter(({ newState }) => newState.type === "command:local:Command");
    return new Map(commands.map(({ urn, newState }) => [urn.split("::").at(-1), newState]));
  };
  example.set("seconds", "60");
  const look = plan();
  expect([...look.keys()]).toEqual(["edge-here-observe"]);
  expect(look.get("edge-here-observe")?.inputs?.create).toMatch(/^sh -s -- advise --json --seconds 60 /);
  example.set("ports", '["6379"]');
  const both = plan();
  expect(both.size).toBe(9);
  const waits = both.get("edge-here-object")?.dependencies?.map((urn) => urn.split("::").at(-1));
  expect(waits).toEqual(["edge-here-observe"]);
  example.expectClean();
}, 120_000);

interface Step {
  readonly urn: string;
  readonly newState: {
    readonly type: string;
    readonly dependencies?: string[];
    readonly inputs?: { readonly create?: string };
  };
}
