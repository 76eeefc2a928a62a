// SPDX-License-Identifier: Apache-2.0
import { SocketBypass } from "socket-bypass";
import { beforeAll, expect, test } from "vitest";
import { hostsOf } from "../hosts.js";
import { mock, registered, resolved } from "../mocks.js";

let stack: typeof import("../index.js");
beforeAll(async () => {
  await mock();
  stack = await import("../index.js");
});

test("each machine of the configuration gets the bypass, and the same one", async () => {
  const hosts = await resolved(stack.hosts);
  expect(Object.keys(hosts).sort()).toEqual(["web1-canary", "web2"]);
  const generation = await resolved(stack.generation);
  for (const host of Object.values(hosts)) expect(host.generation).toBe(generation);
});

test("each machine is reached at its address", async () => {
  const logins = await resolved(stack.logins);
  expect(logins.web2?.ssh).toEqual({ host: "192.0.2.2", port: 22, user: "ops" });
});

test("only commands over SSH are registered, none for the machine that runs Pulumi", async () => {
  await resolved(stack.hosts);
  const types = new Set(registered.map(({ type }) => type).filter((type) => type.startsWith("command:")));
  expect([...types]).toEqual(["command:remote:Command"]);
});

test("a port that is no port is refused", () => {
  const hosts = hostsOf({ web3: { address: "192.0.2.3", hostKey: "ssh-ed25519 AAAA" } }, "no key");
  expect(() => new SocketBypass("wrong", { hosts, traffic: { ports: ["http"] } })).toThrow("traffic.ports[0]");
});
