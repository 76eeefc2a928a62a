// SPDX-License-Identifier: Apache-2.0
/* A user's unit tests: the mocks of Pulumi's documentation return their inputs and nothing else. */
import * as pulumi from "@pulumi/pulumi";
import { beforeAll, describe, expect, test, vi } from "vitest";
import { SocketBypass, type SocketBypassArgs } from "../../../src";
import { suffixes } from "../../../src/commands/step-names";

const hostKey = `ssh-ed25519 ${Buffer.from(`\0\0\0\x0bssh-ed25519\0\0\0\x20${"k".repeat(32)}`).toString("base64")}`;
// An address reserved for documentation: a dial would hang, because nobody answers.
const connection = { host: "192.0.2.1", hostKey, password: pulumi.secret("x") };
const registered: string[] = [];

// Set once, as in a user's test file, because registrations go on after a test has its outputs.
beforeAll(async () => {
  await pulumi.runtime.setMocks({
    newResource: ({ name, inputs }) => {
      registered.push(name);
      return { id: `${name}_id`, state: inputs };
    },
    call: ({ inputs }) => inputs,
  });
});

const resolved = <T>(output: pulumi.Output<T>) => new Promise<T>((done) => output.apply(done));

describe("under pulumi.runtime.setMocks", () => {
  test.each([
    ["this machine", "here", { hosts: { web: { local: true } } }],
    ["a host over SSH", "far", { hosts: { web: { connection } } }],
    ["a host with detectDrift, which is not dialled", "seen", { hosts: { web: { connection } }, detectDrift: true }],
  ] as [string, string, Omit<SocketBypassArgs, "traffic">][])(
    "%s: all steps are registered, and the outputs resolve",
    async (_, name, args) => {
      const edge = new SocketBypass(name, { traffic: { ports: ["6379"] }, ...args });
      const { web } = await resolved(edge.hosts);
      expect(web?.generation).toMatch(/^[0-9a-f]{12}$/);
      const steps = Object.values(suffixes).sort();
      await vi.waitFor(() => {
        const its = registered.filter((one) => one.startsWith(`${name}-web-`));
        expect(its.sort()).toEqual(steps.map((step) => `${name}-web-${step}`));
      });
    },
  );

  test("a host that is only observed: its one step is registered, and the outputs resolve", async () => {
    const { hosts, advice } = new SocketBypass("look", { hosts: { web: { local: true } }, observe: {} });
    expect([await resolved(hosts), await resolved(advice)]).toEqual([{}, {}]);
    await vi.waitFor(() =>
      expect(registered.filter((one) => one.startsWith("look-web-"))).toEqual(["look-web-observe"]),
    );
  });

  test("a node pool: its outputs resolve", async () => {
    const pool = { image: "registry.example/pod:1", namespace: "kube-system" };
    const edge = new SocketBypass("pool", { traffic: { ports: ["6379"] }, nodePools: { workers: pool } });
    const { workers } = await resolved(edge.nodePools);
    // Mocks do not know the names that the provider chooses.
    expect(workers).toMatchObject({ generation: expect.stringMatching(/^[0-9a-f]{12}$/), namespace: "kube-system" });
  });
});
