// SPDX-License-Identifier: Apache-2.0
import * as pulumi from "@pulumi/pulumi";
import { describe, expect, test } from "vitest";
import { connectionSchema } from "../../../src/args/connection";
import { far } from "../far";
import { problemsOfMany, problemsOfOne } from "./report";

const traffic = { everything: true };

describe("where a host is", () => {
  const fix = "give a connection, or local: true if this is the machine that runs Pulumi";

  test.each([{}, { connection: undefined }])("must be said: %j", (host) => {
    expect(problemsOfMany({ traffic, hosts: { web: host } })).toEqual([
      '1 problem in the arguments of SocketBypass "edge":',
      `hosts.web.connection: expected a way to reach the host, found nothing; ${fix}`,
    ]);
    expect(problemsOfOne({ traffic, local: undefined, ...host })).toEqual([
      `connection: a way to reach the host, nothing; ${fix}`,
    ]);
  });

  test("is said by local: true, and by no other value", () => {
    expect(problemsOfOne({ traffic, local: true })).toEqual([]);
    expect(problemsOfOne({ traffic, local: false })).toEqual([`local: true, or a connection beside it, false; ${fix}`]);
    for (const local of ["true", 1, pulumi.output(true)])
      expect(problemsOfOne({ traffic, local })).toEqual([expect.stringMatching(/^local: true or false, /)]);
  });

  test("is not said twice, though local: false may stand beside a connection", () => {
    expect(problemsOfOne({ traffic, local: false, ...far })).toEqual([]);
    expect(problemsOfOne({ traffic, local: true, ...far })).toEqual([
      "local: either local: true or a connection, true; leave out local for a host over SSH, or the connection for the machine that runs Pulumi",
    ]);
  });

  test.each([undefined, null])("must be known at the latest when a connection resolves, to %j", (nothing) => {
    const problem = "give one, or local: true without a connection";
    expect(problemsOfOne({ traffic, connection: pulumi.output(nothing) })).toEqual([]);
    const issues = connectionSchema(true).safeParse(nothing).error?.issues ?? [];
    expect(issues.map((one) => one.code === "custom" && one.params?.fix)).toEqual([problem]);
  });

  test("may be this machine once in a component", () => {
    const local = { local: true };
    expect(problemsOfMany({ traffic, hosts: { a: local, b: far } })).toEqual([]);
    expect(problemsOfMany({ traffic, hosts: { a: local, b: far, c: local } }).slice(1)).toEqual([
      'hosts: expected at most one host with local: true, found "a, c"; each of them would be the machine that runs Pulumi; leave out all but one, or give them connections',
    ]);
  });
});
