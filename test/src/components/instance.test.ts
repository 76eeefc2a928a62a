// SPDX-License-Identifier: Apache-2.0
import * as pulumi from "@pulumi/pulumi";
import { beforeEach, expect, test } from "vitest";
import { identify } from "../../../src/commands/identity";
import { identityOf } from "../../../src/components/instance";
import { servePlugin } from "../../../src/targets/current-run";

// Each test is a run of the program.
beforeEach(() =>
  pulumi.runtime.setMocks({ newResource: () => ({ id: "1", state: {} }), call: () => ({}) }, "shop", "prod"),
);

const where = { resource: {} as pulumi.Resource, what: 'BypassHost "a"', path: [] };
const identityFor = (name: string, given?: string) => identityOf([name], given, where);
const made = identify(["shop", "prod", "a"]).instance;

test.each([
  ["is given to two hosts", "one", "one"],
  ["is derived for one host and given to another", undefined, made],
  ["is given to one host and derived for a later one", made, undefined],
])("an instance that %s is refused, and the error names it", (_, first, second) => {
  const [one, other] = second === undefined ? ["b", "a"] : ["a", "b"];
  expect(identityFor(one, first)).toMatchObject({ instance: first ?? made, owner: `shop/prod/${one}` });
  const fix = second === undefined ? "its own name makes the same one: give it another instance" : "give it to the one";
  expect(() => identityFor(other, second)).toThrow(
    `instance: expected an instance that no other host or pool of this program has, found "${second ?? made}"; ${fix}`,
  );
});

test("equal names below parents of different types give the same instance", () => {
  expect([identityFor("a"), identityFor("a")]).toMatchObject([{ instance: made }, { instance: made }]);
});

// The last test, because this holds for the process. test/e2e/languages has a real plugin.
test("in a plugin, where each component has a client of its own, an engine still takes each instance once", async () => {
  servePlugin();
  const connect = async (address: string) => {
    await pulumi.runtime.setMocks({ newResource: () => ({ id: "1", state: {} }), call: () => ({}) }, "shop", "prod");
    Object.assign(pulumi.runtime.getMonitor() ?? {}, { getChannel: () => ({ getTarget: () => address }) });
  };
  await connect("127.0.0.1:1");
  identityFor("a", "one");
  await connect("127.0.0.1:1");
  expect(() => identityFor("b", "one")).toThrow("instance: expected an instance that no other host or pool");
  await connect("127.0.0.1:2");
  expect(identityFor("b", "one")).toMatchObject({ instance: "one" });
});
