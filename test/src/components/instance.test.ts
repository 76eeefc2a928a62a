// SPDX-License-Identifier: Apache-2.0
import * as pulumi from "@pulumi/pulumi";
import { beforeEach, expect, test } from "vitest";
import { identify } from "../../../src/commands/identity";
import { identityOf } from "../../../src/components/instance";

// Each is a run of the program.
beforeEach(() =>
  pulumi.runtime.setMocks({ newResource: () => ({ id: "1", state: {} }), call: () => ({}) }, "shop", "prod"),
);

const where = { resource: {} as pulumi.Resource, what: 'BypassHost "a"', path: [] };
const identityFor = (name: string, given?: string) => identityOf([name], given, where);
const made = identify(["shop", "prod", "a"]).instance;

test.each([
  ["is given to two", "one", "one"],
  ["is given to one and made from the names of another", undefined, made],
  ["is made from the names of one that comes after the one that it is given to", made, undefined],
])("an instance that %s is refused, by its name, and the next run begins anew", (_, first, second) => {
  const [one, other] = second === undefined ? ["b", "a"] : ["a", "b"];
  expect(identityFor(one, first)).toMatchObject({ instance: first ?? made, owner: `shop/prod/${one}` });
  const fix = second === undefined ? "its own name makes the same one: give it another instance" : "give it to the one";
  expect(() => identityFor(other, second)).toThrow(
    `instance: expected an instance that no other host or pool of this program has, found "${second ?? made}"; ${fix}`,
  );
});

test("one name below two parents of other types is one instance, as ever", () => {
  expect([identityFor("a"), identityFor("a")]).toMatchObject([{ instance: made }, { instance: made }]);
});
