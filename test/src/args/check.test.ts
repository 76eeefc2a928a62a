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
 * Resolves to the value of an Output, or rejects with its error. `apply` would swallow the error,
 * and the SDK keeps it in three more promises, which must not reject unhandled.
 */
function resolved<T>(output: pulumi.Output<T>): Promise<T> {
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
  const error = await resolved(output).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof ArgsError) return error;
  throw new Error(`expected an ArgsError, found ${error}`);
}

test("an unknown value passes the first check and is checked once it is known", async () => {
  const ports = ["80", pulumi.output("0")];
  expect(() =>
    checkNow(socketBypassSchema, { hosts: { a: { local: true } }, traffic: { ports } }, { ...where, path: [] }),
  ).not.toThrow();
  expect((await failureOf(checkLater(bypassProperties.traffic, { ports }, where))).message).toBe(
    [
      '1 problem in the arguments of SocketBypass "edge":',
      '  traffic.ports[1]: expected a port or a range from 1 to 65535, such as 6379 or "8000-8999", found "0"; write a port as a number and a range in quotes, digits only, the lower port first',
    ].join("\n"),
  );
});

test.each([
  ["an Output", pulumi.output(undefined)],
  ["a Promise", Promise.resolve(undefined)],
])("everything may be %s, and is an error if that resolves to nothing", async (_, everything) => {
  const args = { everything };
  expect((await failureOf(checkLater(bypassProperties.traffic, args, where))).message).toContain("a choice of traffic");
});

test("a valid value passes the check unchanged", async () => {
  const value = { ports: [pulumi.output("80")], cidrs: pulumi.output(["10.0.0.0/8"]) };
  expect(await resolved(checkLater(bypassProperties.traffic, value, where))).toEqual({
    ports: ["80"],
    cidrs: ["10.0.0.0/8"],
  });
});

test("the error about an invalid secret names its path and does not contain its value", async () => {
  const error = await failureOf(checkLater(bypassProperties.traffic, { ports: [pulumi.secret("hunter2")] }, where));
  expect(error.message).toContain("traffic.ports[0]: expected a port");
  expect(error.message).toContain("found a secret value");
  expect(JSON.stringify([error.message, error.stack, error.problems, error.errors])).not.toContain("hunter2");
  // The engine prints the values at these paths.
  expect(error.errors).toEqual([]);
});

test("the error about an unknown property does not contain its secret value either", async () => {
  const args = pulumi.secret({ ports: ["80"], password: "hunter2" });
  const error = await failureOf(checkLater(bypassProperties.traffic, args as never, where));
  expect(JSON.stringify([error.message, error.problems, error.errors])).not.toContain("hunter2");
});

test("a secret stays secret after the check", async () => {
  expect(await pulumi.isSecret(checkLater(bypassProperties.traffic, { ports: [pulumi.secret("80")] }, where))).toBe(
    true,
  );
});

test("the error is marked so that the SDK prints it without a stack, also when another language calls", () => {
  let error: unknown;
  try {
    checkNow(socketBypassSchema, { hosts: {}, traffic: { everything: true } }, { ...where, path: [] });
  } catch (thrown) {
    error = thrown;
  }
  expect(pulumi.ResourceError.isInstance(error) && error.hideStack && error.resource === resource).toBe(true);
  // The engine prints the value at each path that is given here, even a secret.
  expect(pulumi.InputPropertiesError.isInstance(error) && error.errors).toEqual([]);
});

test("inspecting the error yields its message only, not the resource that it is about", () => {
  const error = new ArgsError({} as pulumi.Resource, "it", [{ path: "a", expected: "b", found: "c", fix: "d" }]);
  expect(inspect(error, { colors: true })).toBe(error.message);
});

test("the SDK cannot put words of its own before the problems", () => {
  const error = new ArgsError({} as pulumi.Resource, "it", [{ path: "a", expected: "b", found: "c", fix: "d" }]);
  error.message = `error serializing property "create": ${error.message}`;
  expect(error.message).toBe("1 problem in the arguments of it:\n  a: expected b, found c; d");
});
