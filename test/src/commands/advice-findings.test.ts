// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import type { AdvisedService } from "../../../src/commands/advice";
import { readAdvice } from "../../../src/commands/advice-answer";
import { differences, findingsIn } from "../../../src/commands/advice-findings";
import type { Policy } from "../../../src/commands/verbs";
import { advice, service } from "./advice";

const told = (services: Partial<AdvisedService>[]) => {
  const read = readAdvice(JSON.stringify(advice(services.map((one) => service(one)))));
  if (read === undefined) throw new Error("the advice of this test cannot be read");
  return read;
};
const policy = (more: Partial<Policy>): Policy => ({
  ...{ everything: false, ports: [], cidrs: [], enabled: true, queueBytes: undefined, refreshSeconds: undefined },
  ...more,
});

const redis: Partial<AdvisedService> = {};
const iperf: Partial<AdvisedService> = { port: 5201, program: "iperf3", advice: "leave", reason: "a stream" };
const haproxy: Partial<AdvisedService> = { port: 8080, program: "haproxy", advice: "danger", reason: "it splices" };
const quiet: Partial<AdvisedService> = { port: 9000, program: "quiet", advice: "watch", reason: "no messages" };
const idle: Partial<AdvisedService> = {
  port: 5300,
  program: "idle",
  kind: "idle",
  advice: "leave",
  reason: "it is remote",
};
const all = told([redis, iperf, idle, haproxy, quiet]);

describe("the advice differs from traffic", () => {
  const listed = [
    "port 8080 (haproxy), which traffic lists, is in danger: it splices",
    "port 5201 (iperf3), which traffic lists, gains nothing: a stream",
  ];
  const unlisted =
    "port 6379 (redis-server), which traffic does not list, would gain (1.2 to 1.6 times plain TCP): requests of 34 bytes";

  test.each([
    ["what gains alone", policy({ ports: ["6379"] }), []],
    ["nothing that is there", policy({ ports: ["1"] }), [unlisted]],
    ["a range", policy({ ports: ["5000-9000"] }), listed],
    ["the ends of ranges", policy({ ports: ["5201-5300", "8000-8080"] }), [listed[0], unlisted, listed[1]]],
    ["what was too quiet", policy({ ports: ["6379", "9000"] }), []],
    ["everything", policy({ everything: true }), listed],
    ["any port of some networks", policy({ cidrs: ["10.0.0.0/8"] }), listed],
  ])("that lists %s", (_, declared, expected) => {
    expect(differences(all, declared)).toEqual(expected);
  });

  test("in at most ten lines and one for the rest", () => {
    const many = told(Array.from({ length: 40 }, (_, at) => ({ ...iperf, port: 1000 + at })));
    const found = differences(many, policy({ everything: true }));
    expect(found).toHaveLength(11);
    expect(found.at(-1)).toBe("30 more in the output advice");
    const last = told([...Array.from({ length: 40 }, (_, at) => ({ ...iperf, port: 1000 + at })), haproxy]);
    expect(differences(last, policy({ everything: true }))[0]).toBe(listed[0]);
  });
});

test("what is in danger and what would gain is one line, with the traffic to declare", () => {
  expect(findingsIn(all)).toBe(
    'port 8080 (haproxy) must be left out: it splices; port 6379 (redis-server) would gain (1.2 to 1.6 times plain TCP); what to declare: traffic: {"ports":[6379]}',
  );
  expect(findingsIn(told([iperf, quiet]))).toBe("no port would gain, of 2 services that were seen");
});
