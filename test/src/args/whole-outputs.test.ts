// SPDX-License-Identifier: Apache-2.0
import * as pulumi from "@pulumi/pulumi";
import { expect, test } from "vitest";
import { problemsOfMany } from "./report";

const traffic = { ports: ["6379"] };

test("an Output instead of an object is one problem, and its value is not shown", () => {
  const hidden = pulumi.secret({ everything: true });
  expect(
    problemsOfMany({ hosts: { a: hidden }, traffic: hidden })
      .slice(1)
      .sort(),
  ).toEqual([
    "hosts.a: expected an object, found an Output; write the object itself and put Outputs inside it: local, connection, allowUnknownHostKey, machine, machineId, become, stateDir, boot, instance",
    "traffic: expected an object, found an Output; write the object itself and put Outputs inside it: ports, cidrs, everything",
  ]);
  expect(problemsOfMany({ hosts: hidden, traffic })[1]).toBe(
    "hosts: expected a map of at least one host, found an Output; write the map itself and put Outputs inside its entries, because the names are needed before",
  );
});

test("Outputs instead of both maps are one problem each, whatever else is given", () => {
  const [hosts, nodePools] = [pulumi.output({ a: {} }), pulumi.output({ a: {} })];
  const lines = problemsOfMany({ hosts, nodePools, traffic, observe: {}, rollout: { canary: ["a"] } }).slice(1);
  expect(lines.map((line) => line.split(", found")[0])).toEqual([
    "hosts: expected a map of at least one host",
    "nodePools: expected a map of at least one node pool",
  ]);
});
