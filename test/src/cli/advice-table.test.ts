// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { describeAdvice } from "../../../src/cli/advice-table";
import { adviceAnswer } from "../../../src/commands/advice-answer";
import { advice, service } from "../commands/advice";

const describe = (...words: Parameters<typeof advice>) => describeAdvice("web1", adviceAnswer.parse(advice(...words)));

test("the advice of a host has all that decides: figures, reasons, dangers, what was unseen, and the ports", () => {
  const splices = { kind: "splice", program: "haproxy", reason: "it splices" };
  const relays = { kind: "relay", program: "gateway", reason: "it relays" };
  const services = [
    service({ clients: ["one", "another", "the-third-of-them"], shortConnections: 3 }),
    {
      ...service({ port: 9000, program: "backend", clients: [], dangers: [relays, splices], advice: "danger" }),
      ...{ gain: null, reason: "haproxy: it splices" },
    },
  ];
  expect(describe(services, { unseen: "sockets that could not be asked for their options: 1" }).split("\n")).toEqual([
    "# web1 (Linux 6.1.0, 30 s)",
    "PORT  PROGRAM       CLIENTS                   CONNS  HERE  SHORT  IN/S  BYTES  OUT/S  BYTES  KIND     GAIN       ADVICE",
    "6379  redis-server  one another the-third-o+     12    12      3  5200     34   5200    5.2  request  1.20-1.60  include",
    "9000  backend       -                            12    12      ?  5200     34   5200    5.2  request  -          danger",
    "",
    "6379 redis-server: include: requests of 34 bytes",
    "9000 backend: danger: haproxy: it splices",
    "    relay: gateway: it relays",
    "",
    "gain: ratio to plain TCP, by this host's own bench for the sizes that it has, else by a table that another host made",
    "unseen: sockets that could not be asked for their options: 1",
    "traffic: { ports: [6379] }",
  ]);
});

test("a host on which nothing talks says so, and no port to declare", () => {
  expect(describe([], { gainFrom: "table", traffic: { ports: [] } }).split("\n")).toEqual([
    ...["# web1 (Linux 6.1.0, 30 s)", "no connection to a service of this host was seen"],
    ...["gain: ratio to plain TCP, by a table that another host made", "unseen: nothing"],
    "traffic: no port would gain",
  ]);
});
