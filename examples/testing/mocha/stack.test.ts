// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { before, describe, it } from "mocha";
import { SocketBypass } from "socket-bypass";
import { hostsOf } from "../hosts.js";
import { mock, registered, resolved } from "../mocks.js";

describe("the stack", () => {
  let stack: typeof import("../index.js");
  before(async () => {
    await mock();
    stack = await import("../index.js");
  });

  it("gives the bypass to each machine of the configuration, and the same one", async () => {
    const hosts = await resolved(stack.hosts);
    assert.deepEqual(Object.keys(hosts).sort(), ["web1-canary", "web2"]);
    const generation = await resolved(stack.generation);
    for (const host of Object.values(hosts)) assert.equal(host.generation, generation);
  });

  it("reaches each machine at its address", async () => {
    const logins = await resolved(stack.logins);
    assert.deepEqual(logins.web2?.ssh, { host: "192.0.2.2", port: 22, user: "ops" });
  });

  it("registers only commands over SSH, none for the machine that runs Pulumi", async () => {
    await resolved(stack.hosts);
    const types = new Set(registered.map(({ type }) => type).filter((type) => type.startsWith("command:")));
    assert.deepEqual([...types], ["command:remote:Command"]);
  });

  it("refuses a port that is no port", () => {
    const hosts = hostsOf({ web3: { address: "192.0.2.3", hostKey: "ssh-ed25519 AAAA" } }, "no key");
    assert.throws(() => new SocketBypass("wrong", { hosts, traffic: { ports: ["http"] } }), /traffic\.ports\[0\]/);
  });
});
