// SPDX-License-Identifier: Apache-2.0
import { inspect } from "node:util";
import * as pulumi from "@pulumi/pulumi";
import { beforeAll, expect, test } from "vitest";
import { bypassProperties } from "../../../src/args/bypass";
import { socketBypassSchema } from "../../../src/args/socket-bypass";
import { checkLater, checkNow } from "../../../src/args/validation/check";
import { ArgsError } from "../../../src/args/validation/problem";

beforeAll(() => pulumi.runtime.setMocks({ newResource: () => ({ id: "1", state: {} }), call: () => ({}) }));

const resource = {} as pulumi.Resource;
const where = { resource, what: 'SocketBypass "edge"', path: ["traffic"] };

/**
 * What an Output holds, or its error. `apply` would swallow the error, and the SDK keeps it in
 * three promises more.
 */
function settled<T>(output: pulumi.Output<T>): Promise<T> {
  const inner = output as unknown as {
    promise(): Promise<T>;
    isKnown: Promise<boolean>;
    isSecret: Promise<boolean>;
    allResources(): Promise<unknown>;
  };
  for (const same of [inner.isKnown, inner.isSecret, inner.allResources()]) same.catch(() => undefined);
  return inner.promise();
}

async function failureOf(output: pulumi.Output<unknown>): Promise<ArgsError> {
  const error = await settled(output).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof ArgsError) return error;
  throw new Error(`expected an ArgsError, found ${error}`);
}

test("what is not known yet is taken now and checked once it is known", async () => {
  const ports = ["80", pulumi.output("0")];
  expect(() =>
    checkNow(socketBypassSchema, { hosts: { a: {} }, traffic: { ports } }, { ...where, path: [] }),
  ).not.toThrow();
  expect((await failureOf(checkLater(bypassProperties.traffic, { ports }, where))).message).toBe(
    [
      '1 problem in the arguments of SocketBypass "edge":',
      '  traffic.ports[1]: expected a port or a range from 1 to 65535, such as "6379" or "8000-8999", found "0"; write it in quotes, digits only, the lower port first',
    ].join("\n"),
  );
});

test.each([
  ["an Output", pulumi.output(undefined)],
  ["a Promise", Promise.resolve(undefined)],
])("everything may be %s, and missing in the end", async (_, everything) => {
  const args = { everything };
  expect((await failureOf(checkLater(bypassProperties.traffic, args, where))).message).toContain("a choice of traffic");
});

test("a right value comes through unchanged", async () => {
  const value = { ports: [pulumi.output("80")], cidrs: pulumi.output(["10.0.0.0/8"]) };
  expect(await settled(checkLater(bypassProperties.traffic, value, where))).toEqual({
    ports: ["80"],
    cidrs: ["10.0.0.0/8"],
  });
});

test("a secret that is wrong is named by its place, and its value is nowhere in the error", async () => {
  const error = await failureOf(checkLater(bypassProperties.traffic, { ports: [pulumi.secret("hunter2")] }, where));
  expect(error.message).toContain("traffic.ports[0]: expected a port");
  expect(error.message).toContain("found a secret value");
  expect(JSON.stringify([error.message, error.stack, error.problems, error.errors])).not.toContain("hunter2");
  // The engine prints what stands at these paths.
  expect(error.errors).toEqual([]);
});

test("a secret in a property with a wrong name is not shown either", async () => {
  const args = pulumi.secret({ ports: ["80"], password: "hunter2" });
  const error = await failureOf(checkLater(bypassProperties.traffic, args as never, where));
  expect(JSON.stringify([error.message, error.problems, error.errors])).not.toContain("hunter2");
});

test("a secret stays secret after the check", async () => {
  expect(await pulumi.isSecret(checkLater(bypassProperties.traffic, { ports: [pulumi.secret("80")] }, where))).toBe(
    true,
  );
});

test("the error carries the marks by which the SDK prints it without a stack, here and through other languages", () => {
  let error: unknown;
  try {
    checkNow(socketBypassSchema, { hosts: {}, traffic: { everything: true } }, { ...where, path: [] });
  } catch (thrown) {
    error = thrown;
  }
  expect(pulumi.ResourceError.isInstance(error) && error.hideStack && error.resource === resource).toBe(true);
  // The engine prints what stands at each path that is given here, whatever it is.
  expect(pulumi.InputPropertiesError.isInstance(error) && error.errors).toEqual([]);
});

test("the SDK, which inspects it, finds its text and not all resources", () => {
  const error = new ArgsError({} as pulumi.Resource, "it", [{ path: "a", expected: "b", found: "c", fix: "d" }]);
  expect(inspect(error, { colors: true })).toBe(error.message);
});

test("the SDK cannot write its own words in front of the problems", () => {
  const error = new ArgsError({} as pulumi.Resource, "it", [{ path: "a", expected: "b", found: "c", fix: "d" }]);
  error.message = `error serializing property "create": ${error.message}`;
  expect(error.message).toBe("1 problem in the arguments of it:\n  a: expected b, found c; d");
});
