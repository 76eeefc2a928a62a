// SPDX-License-Identifier: Apache-2.0
/* A user's unit tests: the mocks of Pulumi's documentation return their inputs and nothing else. */
import { createHook } from "node:async_hooks";
import * as pulumi from "@pulumi/pulumi";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { BypassHost, BypassNodePool, SocketBypass, type SocketBypassArgs } from "../../../src";
import { suffixes } from "../../../src/commands/step-names";

const hostKey = `ssh-ed25519 ${Buffer.from(`\0\0\0\x0bssh-ed25519\0\0\0\x20${"k".repeat(32)}`).toString("base64")}`;
// An address reserved for documentation: a dial would hang, because nobody answers.
const connection = { host: "192.0.2.1", hostKey, password: pulumi.secret("x") };
const traffic = { ports: ["6379"] };

/** What a mock was asked for. */
interface Asked {
  readonly registered: string[];
  readonly called: string[];
}

/** Registrations go on after a test has its outputs, so these come once for many tests. */
const mock = async (stateOf: (inputs: object) => unknown, organization?: string): Promise<Asked> => {
  const asked: Asked = { registered: [], called: [] };
  // Registrations that are not over would go to the new mocks.
  await pulumi.runtime.disconnect();
  await pulumi.runtime.setMocks(
    {
      newResource: ({ name, inputs }) => {
        asked.registered.push(name);
        return { id: `${name}_id`, state: stateOf(inputs) as Record<string, unknown> };
      },
      call: ({ token, inputs }) => {
        asked.called.push(token);
        return inputs;
      },
    },
    "shop",
    "test",
    false,
    organization,
  );
  return asked;
};
/** What a program is told of a self-test that nobody has run. */
const notRun = { outcome: "off", kernel: "", machine: "", pairs: 0, redirectedMessages: 0, spliceGuard: "none" };
const resolved = <T>(output: pulumi.Output<T>) => new Promise<T>((done) => output.apply(done));

/** Other tests keep the machine busy. */
const waiting = { timeout: 20_000 };

/** Sockets and processes that the program asked for. */
const opened: string[] = [];
const hook = createHook({
  init: (_, type) => {
    if (/^(TCP|PROCESS)WRAP$/.test(type)) opened.push(type);
  },
});
beforeAll(() => void hook.enable());
afterAll(async () => {
  await pulumi.runtime.disconnect();
  hook.disable();
  expect(opened).toEqual([]);
});

const programs: [string, string, Omit<SocketBypassArgs, "traffic">][] = [
  ["this machine", "here", { hosts: { web: { local: true } } }],
  ["a host over SSH", "far", { hosts: { web: { connection } } }],
  [
    "a host over SSH with detectDrift, which is not dialled",
    "seen",
    { hosts: { web: { connection } }, detectDrift: true },
  ],
  [
    "this machine with detectDrift, which is not looked at",
    "drift",
    { hosts: { web: { local: true } }, detectDrift: true },
  ],
];

describe.each([
  ["the documented mocks", (inputs: object) => inputs, undefined],
  ["mocks of a stack in an organization", (inputs: object) => inputs, "acme"],
  ["mocks that know nothing", () => ({}), undefined],
  ["mocks that answer every command with null", (inputs: object) => ({ ...inputs, stdout: null }), undefined],
  ["mocks that answer every command with a text", (inputs: object) => ({ ...inputs, stdout: "done" }), undefined],
] as [string, (inputs: object) => unknown, string?][])("under %s", (_, stateOf, organization) => {
  let asked: Asked;
  beforeAll(async () => {
    asked = await mock(stateOf, organization);
  });
  afterAll(() => expect(asked.called).toEqual([]));

  test.each(programs)("%s: all steps are registered, and the outputs resolve", async (_, name, args) => {
    const edge = new SocketBypass(name, { traffic, ...args });
    const { web } = await resolved(edge.hosts);
    expect(web?.generation).toMatch(/^[0-9a-f]{12}$/);
    expect(await resolved(edge.generation)).toBe(web?.generation);
    expect(web?.selfTest).toEqual(notRun);
    const steps = Object.values(suffixes).sort();
    await vi.waitFor(() => {
      const its = asked.registered.filter((one) => one.startsWith(`${name}-web-`));
      expect(its.sort()).toEqual(steps.map((step) => `${name}-web-${step}`));
    }, waiting);
  });

  test("a host that is only observed: its one step is registered, and its advice names no service", async () => {
    const { hosts, advice } = new SocketBypass("look", { hosts: { web: { local: true } }, observe: {} });
    expect(await resolved(hosts)).toEqual({});
    expect((await resolved(advice)).web).toMatchObject({ services: [], traffic: { ports: [] } });
    await vi.waitFor(
      () => expect(asked.registered.filter((one) => one.startsWith("look-web-"))).toEqual(["look-web-observe"]),
      waiting,
    );
  });

  test("a single host: its outputs resolve", async () => {
    const host = new BypassHost("one", { connection, traffic, observe: {} });
    expect(await resolved(host.generation)).toMatch(/^[0-9a-f]{12}$/);
    expect(await resolved(host.selfTest as NonNullable<typeof host.selfTest>)).toEqual(notRun);
    expect(await resolved(host.login)).toMatchObject({ ssh: { host: "192.0.2.1", port: 22, user: "root" } });
    expect(await resolved(host.advice as NonNullable<typeof host.advice>)).toMatchObject({ services: [] });
  });

  test("a node pool: its outputs resolve, with names of the program where mocks know none", async () => {
    const image = "registry.example/pod:1";
    const edge = new SocketBypass("pools", { traffic, nodePools: { workers: { image } } });
    expect(await resolved(edge.nodePools)).toEqual({
      workers: {
        generation: expect.stringMatching(/^[0-9a-f]{12}$/),
        namespace: "pools-workers-namespace",
        daemonSet: "pools-workers-loader",
      },
    });
    const pool = new BypassNodePool("pool", { image, namespace: "kube-system", traffic });
    expect(await resolved(pool.namespace)).toBe("kube-system");
  });
});

describe("under mocks", () => {
  test("nothing is compiled, so the tests need no clang", async () => {
    await mock((inputs) => inputs);
    vi.stubEnv("PATH", "/nowhere");
    const args = { traffic, bpf: { compile: "deployer" as const } };
    const { hosts } = new SocketBypass("built", { hosts: { web: { connection } }, ...args });
    const pool = new BypassNodePool("pool", { image: "registry.example/pod:1", ...args });
    expect((await resolved(hosts)).web?.generation).toMatch(/^[0-9a-f]{12}$/);
    expect(await resolved(pool.generation)).toMatch(/^[0-9a-f]{12}$/);
    vi.unstubAllEnvs();
  });

  test("wrong arguments are refused as they are without mocks", async () => {
    await mock((inputs) => inputs);
    const make = () => new SocketBypass("wrong", { hosts: { web: { connection } }, traffic: { ports: ["http"] } });
    expect(make).toThrow("traffic.ports[0]: expected");
  });

  test("a runner that copies the error of a failed test does not copy all resources", async () => {
    await mock((inputs) => inputs);
    const hosts = { web: { connection } };
    try {
      new SocketBypass("copied", { hosts, traffic: { ports: ["http"] } });
      expect.fail("expected an error, found none");
    } catch (error) {
      const message = expect.stringContaining("traffic.ports[0]: expected");
      expect(JSON.parse(JSON.stringify(error))).toEqual({ name: "Error", message });
    }
  });

  test("the advice that a mock gives is what the program gets", async () => {
    const service = { port: 6379, program: "redis-server", clients: ["php-fpm"], connections: 9, onHost: 9 };
    const rates = { inbound: 1, outbound: 1 };
    const more = { perSecond: rates, bytesPerMessage: rates, bytesPerSecond: rates, kind: "request", dangers: [] };
    const seen = { seconds: 30, kernel: "6.12", machine: "x86_64", gainFrom: "table", namespaces: 1, sockets: 20 };
    const told = { services: [{ ...service, ...more, advice: "include", reason: "" }], traffic: { ports: [6379] } };
    await mock((inputs) => ({ ...inputs, stdout: JSON.stringify({ version: 1, ...seen, ...told }) }));
    const { advice } = new SocketBypass("look", { hosts: { web: { connection } }, observe: {} });
    expect((await resolved(advice)).web).toEqual({ ...seen, ...told });
  });
});
