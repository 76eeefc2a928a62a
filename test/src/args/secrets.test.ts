// SPDX-License-Identifier: Apache-2.0
import { inspect } from "node:util";
import * as pulumi from "@pulumi/pulumi";
import { beforeAll, describe, expect, test } from "vitest";
import type { ZodType } from "zod";
import { bypassProperties } from "../../../src/args/bypass";
import { connectionSchema } from "../../../src/args/connection";
import { hostProperties } from "../../../src/args/host";
import { poolProperties } from "../../../src/args/node-pool";
import { observeSchema } from "../../../src/args/observe";
import { socketBypassSchema } from "../../../src/args/socket-bypass";
import { checkLater, checkNow } from "../../../src/args/validation/check";
import { ArgsError } from "../../../src/args/validation/problem";
import { everything, isObject, nameOf, objects, places, put, type Tree } from "./places";

beforeAll(() => pulumi.runtime.setMocks({ newResource: () => ({ id: "1", state: {} }), call: () => ({}) }));

const password = "correct horse; $battery";
const where = { resource: {} as pulumi.Resource, what: 'SocketBypass "edge"', path: [] };
/** All errors about these arguments: those at once, and those after pending values are known. */
async function errorsOf(args: unknown): Promise<ArgsError[]> {
  const errors: unknown[] = [];
  try {
    checkNow(socketBypassSchema, args, where);
  } catch (error) {
    errors.push(error);
  }
  for (const [schema, value] of pending(args as Tree))
    errors.push(...(await failureOf(checkLater(schema, value, where))));
  return errors as ArgsError[];
}

/**
 * The values that normalize.ts checks once they are known: each property by itself, and a
 * connection as a whole.
 */
function pending({ hosts, nodePools, ...shared }: Tree): [ZodType, unknown][] {
  const each = (properties: object, given: unknown) =>
    Object.entries(properties).map(([key, schema]): [ZodType, unknown] => [
      schema,
      isObject(given) ? (given as Tree)[key] : undefined,
    ]);
  const all = (map: unknown) => (isObject(map) ? Object.values(map as Tree) : []);
  return [
    ...each({ ...bypassProperties, observe: observeSchema.optional() }, shared),
    ...all(hosts).flatMap((host) => {
      const connection = isObject(host) && "connection" in (host as Tree) && { connection: connectionSchema(false) };
      return each({ ...hostProperties, ...connection }, host);
    }),
    ...all(nodePools).flatMap((pool) => each(poolProperties, pool)),
  ];
}

/**
 * `apply` would swallow the error, and the SDK keeps it in three more promises, which must not
 * reject unhandled.
 */
async function failureOf(output: pulumi.Output<unknown>): Promise<unknown[]> {
  const inner = output as unknown as Record<"isKnown" | "isSecret", Promise<unknown>> &
    Record<"promise" | "allResources", () => Promise<unknown>>;
  for (const same of [inner.isKnown, inner.isSecret, inner.allResources()]) same.catch(() => undefined);
  return await inner.promise().then(
    () => [],
    (error: unknown) => [error],
  );
}

/** Everything that a program may print of the errors, and everything that the engine gets. */
function shown(errors: readonly ArgsError[]): string {
  return errors.map((error) => `${inspect(error, { depth: 9 })} ${JSON.stringify(error)} ${error.message}`).join("\n");
}

test("the tree of arguments has every property", () => {
  const inside = (properties: object, given: object) =>
    expect(Object.keys(given)).toEqual(expect.arrayContaining(Object.keys(properties)));
  inside({ ...bypassProperties, hosts: 0, nodePools: 0, rollout: 0 }, everything);
  // A host with a connection is not local.
  inside(hostProperties, { ...everything.hosts.web, local: 0 });
  inside(poolProperties, everything.nodePools.workers);
  const issues =
    connectionSchema(false).safeParse({ ...everything.hosts.web.connection, other: 1 }).error?.issues ?? [];
  const names = issues.map(({ message }) => message).find((text) => text.startsWith("use ")) ?? "";
  expect(names.slice(4).split(", ").sort()).toEqual(Object.keys(everything.hosts.web.connection).sort());
});

describe.each(places.map((path) => [nameOf(path), path] as const))("at %s", (_, path) => {
  test("no error shows a secret", async () => {
    const errors = await errorsOf(put(path, pulumi.secret(password)));
    expect(shown(errors)).not.toContain("battery");
    for (const error of errors) expect(error).toBeInstanceOf(ArgsError);
  });

  test("a secret object with an unknown property is refused and not shown", async () => {
    const errors = await errorsOf(put(path, pulumi.secret({ passwrd: password })));
    expect(errors.length).toBeGreaterThan(0);
    expect(shown(errors)).not.toContain("battery");
  });
});

describe.each(objects.map((path) => [nameOf(path), path] as const))("at %s, which is an object", (_, path) => {
  test("a text instead of the object is refused and not shown", async () => {
    const errors = await errorsOf(put(path, password));
    expect(errors.length).toBeGreaterThan(0);
    expect(shown(errors)).not.toContain("battery");
  });

  test("the value of an unknown property is not shown, and the engine gets no path whose value it would print", async () => {
    for (const value of [password, pulumi.secret(password), { password }, [password]]) {
      const errors = await errorsOf(put([...path, "passwrd"], value));
      expect(shown(errors)).not.toContain("battery");
      expect(errors.flatMap((error) => error.errors)).toEqual([]);
    }
  });
});

// They stand apart: observe is refused beside node pools, and local beside a connection.
test.each([[["observe"]], [["observe", "seconds"]], [["observe", "rerun"]], [["hosts", "web", "local"]]])(
  "at %j no error shows a secret",
  async (path) => {
    const observing = { hosts: { web: { local: true } }, observe: { seconds: 60, rerun: "again" } };
    expect(await errorsOf(observing)).toEqual([]);
    for (const value of [`\n${password}`, { password }].map((one) => pulumi.secret(one))) {
      const errors = await errorsOf(put(path, value, observing));
      expect(errors.length).toBeGreaterThan(0);
      expect(shown(errors)).not.toContain("battery");
    }
  },
);

test.each(["connection", "connection.proxy", "connection.privateKey", "connection.user", "machineId", "become"])(
  "%s of a host is not shown even if it is plain text",
  async (place) => {
    const errors = await errorsOf(put(["hosts", "web", ...place.split(".")], `\n${password}`));
    expect(errors.length).toBeGreaterThan(0);
    expect(shown(errors)).not.toContain("battery");
  },
);
