// SPDX-License-Identifier: Apache-2.0
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readSelfTest } from "../../../src/commands/self-test-answer";
import { selfTestAnswer } from "../far";

const read = (told: object) => readSelfTest(JSON.stringify({ ...selfTestAnswer, ...told }));

test("facts are named like properties, and one that could not be measured is absent", () => {
  expect(read({})).toEqual({
    ...{ outcome: "passed", kernel: "6.12.118", machine: "x86_64", pairs: 12, redirectedMessages: 3456 },
    ...{ spliceGuard: "lsm", facts: { fionreadTcp: "exact", rounds: 1000 } },
  });
});

test("a self-test that is off has no facts", () => {
  const off = { selftest: "off", pairs: 0, redirected: 0, facts: null };
  expect(read(off)).toEqual({
    ...{ outcome: "off", kernel: "6.12.118", machine: "x86_64", pairs: 0, redirectedMessages: 0, spliceGuard: "lsm" },
  });
});

test("facts of another version are left out", () => {
  expect(read({ facts: { splice: "safe", later: "x" } })?.facts).toEqual({ splice: "safe" });
});

describe("a hostile host", () => {
  test.each([
    ["nothing", ""],
    ["no JSON", "{"],
    ["another answer", "17"],
    ["another outcome", JSON.stringify({ ...selfTestAnswer, selftest: "failed" })],
    ["a negative number", JSON.stringify({ ...selfTestAnswer, pairs: -1 })],
    ["a fact that is an object", JSON.stringify({ ...selfTestAnswer, facts: { splice: {} } })],
    ["a long text", JSON.stringify({ ...selfTestAnswer, kernel: "x".repeat(257) })],
    ["too much", `${JSON.stringify(selfTestAnswer)}${" ".repeat(16384)}`],
  ])("that prints %s reports no self-test", (_, printed) => {
    expect(readSelfTest(printed)).toBeUndefined();
  });

  test("reaches no terminal with control characters", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 200 }), (kernel) => {
        expect(read({ kernel, facts: { splice: kernel } })?.kernel ?? "").not.toMatch(/[\p{Cc}\p{Cf}]/u);
        expect(read({ kernel, facts: { splice: kernel } })?.facts?.splice ?? "").not.toMatch(/[\p{Cc}\p{Cf}]/u);
      }),
    );
  });
});
