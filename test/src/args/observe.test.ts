// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { problemsOfMany, problemsOfOne } from "./report";

const traffic = { ports: ["6379"] };
const hosts = { web: { local: true } };

describe("without traffic", () => {
  const expected = "traffic: a choice of traffic, nothing; give ports, cidrs, or everything: true";

  test("a host must be observed, and the error says so", () => {
    expect(problemsOfOne({})).toEqual([`${expected}; or give observe, to see first which ports would gain`]);
    expect(problemsOfMany({ hosts })).toEqual([
      '1 problem in the arguments of SocketBypass "edge":',
      "traffic: expected a choice of traffic, found nothing; give ports, cidrs, or everything: true; or give observe, to see first which ports would gain",
    ]);
  });

  test.each([{}, { seconds: 1 }, { seconds: 600 }, { rerun: "2026-12-01" }, { seconds: undefined }])(
    "observe %j is enough",
    (observe) => {
      expect(problemsOfOne({ observe })).toEqual([]);
      expect(problemsOfMany({ hosts, observe })).toEqual([]);
      expect(problemsOfMany({ hosts, observe, traffic })).toEqual([]);
    },
  );

  test.each([undefined, null])("traffic that is %j is not a choice", (none) => {
    expect(problemsOfOne({ traffic: none })).toHaveLength(1);
  });
});

describe("observe", () => {
  test.each([0, 601, 1.5, -1, "60", Number.NaN, true])("refuses %j seconds", (seconds) => {
    expect(problemsOfOne({ observe: { seconds } })).toEqual([
      `observe.seconds: a whole number of seconds from 1 to 600, ${typeof seconds === "string" ? `"${seconds}"` : seconds}; give a number from 1 to 600, without quotes`,
    ]);
  });

  test.each(["", "a\nb", "\x1b[2J", "é", "x".repeat(201), 7])("refuses %j as the text of rerun", (rerun) => {
    const [problem, ...more] = problemsOfOne({ observe: { rerun } });
    expect(problem).toMatch(/^observe\.rerun: a printable text of 1 to 200 characters, .*; give any text, such as "/s);
    expect(more).toEqual([]);
  });

  test.each([true, "60", 60, null, []])("is an object, not %j", (observe) => {
    const [problem, ...more] = problemsOfOne({ observe });
    expect(problem).toMatch(/^observe: an object, .*; use seconds, rerun$/);
    expect(more).toEqual([]);
  });

  test("may not have an unknown property", () => {
    expect(problemsOfOne({ observe: { second: 60 } })).toEqual([
      'observe.second: a property that exists, "second"; use seconds, rerun',
    ]);
  });

  test("is refused beside a node pool", () => {
    const nodePools = { workers: { image: "registry.example/pod:1" } };
    const problem =
      'observe: expected hosts only, and no node pool, found "workers"; leave out observe or nodePools; docs/reference/advise.md says how to look at the connections of a node';
    expect(problemsOfMany({ nodePools, observe: {} }).slice(1)).toEqual([problem]);
    expect(problemsOfMany({ hosts, nodePools, observe: {}, traffic }).slice(1)).toEqual([problem]);
    expect(problemsOfMany({ nodePools }).slice(1)).toEqual([expect.stringMatching(/^traffic: expected a choice/)]);
  });
});
