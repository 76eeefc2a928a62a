// SPDX-License-Identifier: Apache-2.0
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { foundInstead, largestAdvice, readAdvice } from "../../../src/commands/advice-answer";
import { advice, service } from "./advice";

const read = (told: object) => readAdvice(JSON.stringify(told));

test("what a host does not know is absent, and everything else is as it was printed", () => {
  const { version: _, unseen: __, services, ...told } = advice();
  expect(services).toHaveLength(1);
  const { shortConnections: ___, ...its } = service();
  expect(read(advice())).toEqual({ ...told, services: [its] });
  const known = advice([service({ shortConnections: 3 })], { unseen: "a namespace" });
  expect(read(known)).toMatchObject({ services: [{ shortConnections: 3 }], unseen: "a namespace" });
  const unknown = read(advice([{ ...service(), gain: null }]));
  expect(Object.keys(unknown?.services[0] ?? {})).not.toContain("gain");
});

test.each([
  ["on one line", (text: string) => text],
  ["on several lines", () => JSON.stringify(advice(), null, 2)],
  ["behind what a login shell prints", (text: string) => `Welcome to {web-1}!\n\n${text}`],
  ["with a line end", (text: string) => `${text}\n`],
])("is read %s", (_, print) => {
  expect(readAdvice(print(JSON.stringify(advice())))).toEqual(read(advice()));
});

test("ports that an earlier build printed as texts are read as numbers", () => {
  expect(read(advice([], { traffic: { ports: ["6379", 80] } }))?.traffic).toEqual({ ports: [6379, 80] });
});

test("properties of a later version are left out", () => {
  const { services } = read({ ...advice([{ ...service(), more: 1 }]), more: 1 }) ?? {};
  expect(services?.[0]).not.toHaveProperty("more");
});

describe("a hostile host", () => {
  test.each([
    ["nothing", ""],
    ["no JSON", "{"],
    ["another answer", "1791823"],
    ["another version", JSON.stringify(advice([], { version: 2 }))],
    ["a negative number", JSON.stringify(advice([service({ connections: -1 })]))],
    ["an infinite number", JSON.stringify(advice()).replace('"sockets":26', '"sockets":1e999')],
    ["no port", JSON.stringify(advice([service({ port: 65536 })]))],
    ["unknown advice", JSON.stringify(advice([{ ...service(), advice: "rm -rf /" }]))],
    ["a port that is none", JSON.stringify(advice([], { traffic: { ports: ["$(id)"] } }))],
    ["a port that is too large", JSON.stringify(advice([], { traffic: { ports: [65536] } }))],
    ["too many services", JSON.stringify(advice(Array(4097).fill(service())))],
    ["too much", `${JSON.stringify(advice())}${" ".repeat(largestAdvice)}`],
  ])("that prints %s gives no advice", (_, printed) => {
    expect(readAdvice(printed)).toBeUndefined();
  });

  test.each([
    ["Welcome", "another answer"],
    ["", "another answer"],
    [" ".repeat(largestAdvice + 1), "more than 8388608 bytes"],
    [JSON.stringify(advice([service({ port: 65536 })])), "an answer that is wrong at services.0.port"],
  ])("is told what was found in place of advice", (printed, found) => {
    expect(foundInstead(printed)).toBe(found);
  });

  test("that has a thousand services with long texts is read", () => {
    const long = "x".repeat(100);
    const dangers = Array(16).fill({ kind: "splice", program: "x".repeat(15), reason: long });
    const services = Array(1024).fill(service({ clients: Array(16).fill("x".repeat(15)), reason: long, dangers }));
    expect(read(advice(services))?.services).toHaveLength(1024);
  });

  test("cannot move the cursor of a terminal, hide text or fill a screen", () => {
    const bad = `\x1b[2J\u202e${"x".repeat(1000)}\n`;
    const its = { program: bad, clients: [bad], reason: bad, dangers: [{ kind: bad, program: bad, reason: bad }] };
    const told = read(advice([service(its)], { kernel: bad, machine: bad, unseen: bad }));
    expect(told).toBeDefined();
    const good = `?[2J?${"x".repeat(295)}…`;
    expect(told).toMatchObject({ kernel: good, machine: good, unseen: `?[2J?${"x".repeat(1000)}?` });
    expect(read(advice([], { unseen: "x".repeat(3000) }))?.unseen).toHaveLength(2001);
    const dangers = [{ kind: good, program: good, reason: good }];
    expect(told?.services).toEqual([
      expect.objectContaining({ program: good, clients: [good], reason: good, dangers }),
    ]);
  });

  test("never makes it throw", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.json(),
          fc.json().map((text) => `{${text}`),
        ),
        (printed) => {
          expect(readAdvice(printed)).toBeUndefined();
        },
      ),
      { numRuns: 500 },
    );
  });
});
