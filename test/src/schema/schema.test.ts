// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { makeSchema } from "../../../tools/schema/make";
import type { Property } from "../../../tools/schema/reader";

const root = join(__dirname, "../../..");

interface Type {
  readonly description: string;
  readonly properties?: Readonly<Record<string, Property>>;
  readonly inputProperties?: Readonly<Record<string, Property>>;
  readonly required?: readonly string[];
  readonly requiredInputs?: readonly string[];
  readonly enum?: readonly { readonly name: string; readonly value: string; readonly description: string }[];
}
const written = readFileSync(join(root, "schema.json"), "utf8");
const { types, resources } = JSON.parse(written) as Record<"types" | "resources", Record<string, Type>>;
const typeOf = (name: string) => types[`socket-bypass:index:${name}`];
const component = (name: string) => resources[`socket-bypass:index:${name}`];
/** A property without its description. */
const shapeOf = ({ description: _, ...shape }: Property) => shape;
const all = Object.entries({ ...types, ...resources }).flatMap(([token, { properties, inputProperties }]) =>
  [properties, inputProperties].flatMap((one) =>
    Object.entries(one ?? {}).map(([name, property]) => ({ at: `${token}.${name}`, name, property })),
  ),
);

// Read the difference before you commit it, because programs in other languages depend on it. This
// does not prove that an SDK can be made of it; test/e2e/languages does.
test("schema.json is what tools/schema makes of the sources", () => {
  expect(makeSchema(root), "type: npx tsx tools/schema/main.ts").toBe(written);
});

test("the arguments of a component are required only where a program cannot do without", () => {
  expect(Object.entries(resources).map(([token, { requiredInputs }]) => [token, requiredInputs])).toEqual([
    ["socket-bypass:index:BypassHost", []],
    ["socket-bypass:index:BypassNodePool", ["image", "traffic"]],
    ["socket-bypass:index:SocketBypass", []],
  ]);
  expect([typeOf("Login")?.required, typeOf("NodePool")?.required]).toEqual([["host"], ["image"]]);
});

test("ports, sizes and seconds are integers, and a port may be a range", () => {
  const whole = ["Login.port", "SelfTest.timeoutSeconds", "Limits.queueBytes", "Rollout.batchSize", "HostAddress.port"];
  for (const name of whole) {
    const [type = "", property = ""] = name.split(".");
    expect(typeOf(type)?.properties?.[property], name).toMatchObject({ type: "integer" });
  }
  const numbers = all.filter(({ property }) => property.type === "number").map(({ name }) => name);
  expect(numbers.sort()).toEqual(["high", "inbound", "low", "outbound", "seconds"]);
});

test("credentials and logins are secret", () => {
  const secret = all.filter(({ property }) => property.secret).map(({ at }) => at.replace("socket-bypass:index:", ""));
  expect(secret.sort()).toEqual([
    "BypassHost.login",
    "BypassNodePool.login",
    ...["Connection.password", "Connection.privateKey", "Connection.privateKeyPassword"],
    ...["Login.password", "Login.privateKey", "Login.privateKeyPassword"],
    "SocketBypass.logins",
  ]);
  const suspects = all.filter(({ name }) => /password|privatekey|token|logins?$/i.test(name));
  expect(suspects.filter(({ property }) => !property.secret)).toEqual([]);
});

test("what a component returns by host or pool is typed", () => {
  const { hosts, nodePools, advice, logins } = component("SocketBypass")?.properties ?? {};
  const entries = [hosts, nodePools, advice, logins].map((one) => one && shapeOf(one).additionalProperties);
  expect(entries).toEqual(
    ["HostReport", "NodePoolReport", "Advice", "HostLogin"].map((name) => ({
      $ref: `#/types/socket-bypass:index:${name}`,
    })),
  );
  expect(typeOf("HostReport")?.properties?.selfTest).toMatchObject({
    $ref: "#/types/socket-bypass:index:SelfTestResult",
  });
});

test("names read well in every language", () => {
  const names = Object.keys(types).map((token) => token.replace("socket-bypass:index:", ""));
  expect(names.filter((name) => name.endsWith("Args"))).toEqual([]);
  // The names of Python that a property would shadow where a program reads or writes it.
  const shadowed = /^(object|id|type|in|from|is|input|filter|format|hash|property|range)$/;
  expect(all.filter(({ name }) => shadowed.test(name))).toEqual([]);
});

test("each type, property and value is described, in lines that a tool may fill", () => {
  const described = [...Object.values(types), ...Object.values(resources), ...all.map(({ property }) => property)];
  for (const one of [...described, ...Object.values(types).flatMap((type) => type.enum ?? [])]) {
    expect(one.description).toMatch(/^\S/);
    expect(one.description).not.toMatch(/[^\n]\n(?!\n|- )/);
  }
});
