// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { readAnswer, statusAnswer } from "../../../src/cli/answers";
import { statusTable } from "../../../src/cli/verbs/status";

test.each([
  [{ method: "fexit" }, { method: "fexit" }],
  // As a build before the first release says it.
  [{ way: "fexit" }, undefined],
])("a host whose status says the splice guard as %j has the rest of its status read", (said, read) => {
  const status = { instance: "edge", serving: "abc", healthy: true, problems: [], generations: [] };
  expect(readAnswer(statusAnswer, JSON.stringify([{ ...status, spliceGuard: said }]))).toEqual([
    { ...status, spliceGuard: read },
  ]);
});

test("a status says that a tap copies what is sent", () => {
  const generation = { generation: "abc", drain: true, sockets: 2, counters: {}, tap: { port: 6379, snaplen: 128 } };
  const status = { instance: "edge", serving: "abc", healthy: true, problems: [], generations: [generation] };
  const value = readAnswer(statusAnswer, JSON.stringify([status]));
  expect(value[0]?.generations).toEqual([generation]);
  expect(statusTable([{ host: { name: "web1" } as never, value }]).split("\n")[1]).toMatch(/ abc \(drained\) \(tap\) /);
});
