// SPDX-License-Identifier: Apache-2.0
import * as pulumi from "@pulumi/pulumi";
import { expect, test } from "vitest";
import { far } from "../far";
import { problemsOfMany } from "./report";

const hosts = Object.fromEntries(["web1", "web2", "01"].map((name) => [name, far]));
const problems = (rollout: unknown) => problemsOfMany({ traffic: { everything: true }, hosts, rollout }).slice(1);

test.each([
  [undefined],
  [{}],
  [{ canary: ["web2"] }],
  [{ canary: ["01", "web1"], batchSize: 1 }],
  [{ batchSize: 1000 }],
])("a roll-out of %j is accepted", (rollout) => {
  expect(problems(rollout)).toEqual([]);
});

const refused: [object, string][] = [
  [
    { canary: ["web3"] },
    'canary[0]: expected a host that is declared, found "web3"; use a name of the map hosts, or remove it',
  ],
  [
    { canary: ["web1", "toString"] },
    'canary[1]: expected a host that is declared, found "toString"; use a name of the map hosts, or remove it',
  ],
  [{ canary: ["web1", "web1"] }, 'canary[1]: expected each host once, found "web1"; remove it'],
  [
    { canary: [] },
    'canary: expected a list of at least one host, found a list of 0; give a list of names, as in ["web1"]; an Output is known too late',
  ],
  [
    { canary: [1] },
    'canary[0]: expected the name of a host, found 1; give a list of names, as in ["web1"]; an Output is known too late',
  ],
  [
    { canary: pulumi.output(["web1"]) },
    'canary: expected a list of at least one host, found an Output; give a list of names, as in ["web1"]; an Output is known too late',
  ],
  ...[0, 1001, 1.5, "10"].map((batchSize): [object, string] => [
    { batchSize },
    `batchSize: expected a whole number of hosts from 1 to 1000, found ${JSON.stringify(batchSize)}; write it without quotes; an Output is known too late`,
  ]),
  [{ batch: 1 }, 'batch: expected a property that exists, found "batch"; use canary, batchSize'],
];
test.each(refused)("a roll-out of %j is refused", (rollout, problem) => {
  expect(problems(rollout)).toEqual([`rollout.${problem}`]);
});
