// SPDX-License-Identifier: Apache-2.0
import * as pulumi from "@pulumi/pulumi";
import { beforeAll, expect, test } from "vitest";
import { isKnown, promiseOf } from "../../../src/args/validation/outputs";
import { attempt } from "../../../src/args/validation/right";

beforeAll(() => pulumi.runtime.setMocks({ newResource: () => ({ id: "1", state: {} }), call: () => ({}) }));

const failing = (text: string) =>
  attempt(pulumi.output(1), (): number => {
    throw new pulumi.RunError(text);
  });

test("what can be made is known, and right", async () => {
  const { made, right } = attempt(pulumi.output(20), (half) => 2 * half);
  expect([await promiseOf(made), await right]).toEqual([40, undefined]);
});

test("what cannot be made never becomes known, does not fail, and gives its error as a value", async () => {
  const { made, right } = failing("no clang");
  expect(await isKnown(made)).toBe(false);
  expect((await right)?.error).toMatchObject({ message: "no clang", stack: "no clang" });
});

test("the SDK, which reports each object once, gets one object for the same failure of many hosts", async () => {
  const errors = await Promise.all(["one", "one", "two"].map((text) => failing(text).right));
  expect(errors[0]?.error).toBe(errors[1]?.error);
  expect(errors[0]?.error).not.toBe(errors[2]?.error);
  expect(pulumi.RunError.isInstance(errors[0]?.error)).toBe(true);
});
