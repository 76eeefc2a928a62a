// SPDX-License-Identifier: Apache-2.0
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { identify } from "../../../src/commands/identity";

/** Parts that could be confused when they are joined, because they contain separators. */
const part = fc.oneof(
  fc.string({ unit: fc.constantFrom("a", "A", "/", "-", ".", ",", '"', "%", " ", "é", "\n", "\\"), maxLength: 6 }),
  fc.string({ unit: "binary", maxLength: 100 }).map((text) => Buffer.from(text).toString()),
);
const parts = fc.array(part, { minLength: 3, maxLength: 4 });

test("different parts give different names, equal parts equal ones", () => {
  fc.assert(
    fc.property(parts, parts, (one, other) => {
      const [a, b] = [identify(one), identify(other)];
      const isSame = JSON.stringify(one) === JSON.stringify(other);
      expect([a.instance === b.instance, a.owner === b.owner]).toEqual([isSame, isSame]);
      expect(identify([...one])).toEqual(a);
    }),
    { numRuns: 5000 },
  );
});

test("an instance has at most 64 characters of [a-z0-9-], and an owner is one line of printable text", () => {
  fc.assert(
    fc.property(parts, (any) => {
      const { instance, owner } = identify(any);
      expect(instance).toMatch(/^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])$/);
      expect(owner).toMatch(/^[\x21-\x7e]*$/);
      expect(owner.split("/")).toHaveLength(any.length);
    }),
    { numRuns: 2000 },
  );
});

test("half of a surrogate pair does not throw", () => {
  expect(identify(["p", "s", "\ud800"]).instance).toMatch(/^bypass-[0-9a-f]{8}$/);
});

test.each([
  [["shop", "prod", "edge", "web1"], "edge-web1-", "shop/prod/edge/web1"],
  [["shop", "prod", "Edge.1", "Web_1"], "edge-1-web-1-", "shop/prod/Edge.1/Web_1"],
  [["p/q", "s", "a/b"], "a-b-", "p%2Fq/s/a%2Fb"],
  [["p", "s", "!!!"], "bypass-", "p/s/!!!"],
])("%j gives a readable instance and owner", (given, start, owner) => {
  const { instance, ...rest } = identify(given);
  expect(rest).toEqual({ owner });
  expect(instance.slice(0, -8)).toBe(start);
});
