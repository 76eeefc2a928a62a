// SPDX-License-Identifier: Apache-2.0
/*
 * What is declared to observe a host. Mocks show what the engine gets, never what a host answers;
 * test/e2e/local/observe has that.
 */
import * as pulumi from "@pulumi/pulumi";
import { afterEach, describe, expect, test, vi } from "vitest";
import { BypassHost, type BypassHostArgs, SocketBypass, type SocketBypassArgs } from "../../../src/index";
import { isAdvice } from "../../../src/install/observation";
import type { StepResource } from "../../../src/targets/target";
import { advice, service } from "../commands/advice";
import { answerOf, far } from "../far";
import { type Registered, record } from "../record";

const traffic = { ports: ["6379"] };
const observe = { seconds: 60 };
const answer = JSON.stringify(
  advice([service(), service({ port: 5201, program: "iperf3", advice: "leave", reason: "a stream" })]),
);
const said = (name: string) => (name.endsWith("-observe") ? answer : answerOf(name));
const recordOf = (program: () => unknown, isPreview = false) => record(program, isPreview, undefined, said);
const make = (args: BypassHostArgs) => recordOf(() => new BypassHost("edge", { local: true, ...args }));
const namesOf = (all: readonly Registered[]) =>
  all.filter(({ type }) => type.startsWith("command:")).map(({ name }) => name);
const find = (all: readonly Registered[], name: string) => all.find((one) => one.name === name);
const resolved = <T>(output: pulumi.Output<T>) => new Promise<T>((done) => output.apply(done));

const warn = vi.spyOn(pulumi.log, "warn").mockResolvedValue();
const info = vi.spyOn(pulumi.log, "info").mockResolvedValue();
afterEach(() => {
  warn.mockClear();
  info.mockClear();
});
const texts = (spy: typeof warn | typeof info) => spy.mock.calls.map(([text]) => text);

describe("a host without traffic", async () => {
  const all = await make({ observe });
  const step = find(all, "edge-observe");

  test("has one step, which looks at it from files that are sent for that alone", () => {
    expect(namesOf(all)).toEqual(["edge-observe"]);
    expect(step?.inputs.create).toMatch(
      /^sh -s -- advise --json --seconds 60 --instance edge-c3a267df --digest [0-9a-f]{64}$/,
    );
    expect(step?.inputs.stdin).toContain("s=/var/lib/socket-bypass/_staged-edge-c3a267df/");
    expect(step?.hideDiffs).toEqual(["stdin"]);
  });

  test("leaves nothing that would have to be undone", () => {
    expect(step?.inputs).not.toHaveProperty("delete");
  });

  test("is replaced only where another machine would be", async () => {
    expect(step?.inputs.triggers).toEqual(["local", "edge-c3a267df", "/var/lib/socket-bypass"]);
    const other = find(await make({ observe, machineId: "vm-2" }), "edge-observe");
    expect(other?.inputs.triggers).toEqual(["vm-2", "edge-c3a267df", "/var/lib/socket-bypass"]);
  });
});

describe("looks again", () => {
  const inputsOf = async (args: BypassHostArgs) => find(await make(args), "edge-observe")?.inputs;

  test.each<[string, BypassHostArgs]>([
    ["seconds", { observe: { seconds: 61 } }],
    ["rerun", { observe: { ...observe, rerun: "'; touch /tmp/x; '" } }],
    ["become", { observe, become: "sudo -n" }],
    ["the files", { observe, adopt: true }],
  ])("for another value of %s", async (_, args) => {
    const [before, after] = [await inputsOf({ observe }), await inputsOf(args)];
    expect([after?.create, after?.stdin]).not.toEqual([before?.create, before?.stdin]);
    expect(after?.triggers).toEqual(before?.triggers);
  });

  test.each<[string, Partial<BypassHostArgs>]>([
    ["traffic", { traffic }],
    ["enabled", { enabled: false }],
    ["limits", { limits: { sockets: 64, queueBytes: 65536 } }],
    ["selfTest", { selfTest: { enabled: false } }],
    ["cgroup", { cgroup: "/a" }],
    ["spliceGuard", { spliceGuard: "off" }],
  ])("not for another value of %s", async (_, args) => {
    expect(await inputsOf({ observe, ...args })).toEqual(await inputsOf({ observe }));
  });

  test("and the text of rerun reaches no shell unquoted", async () => {
    const { stdin } = (await inputsOf({ observe: { rerun: "'; touch /tmp/x; '" } })) ?? {};
    expect(`${stdin}`.split("\n")[0]).toBe(": ''\\''; touch /tmp/x; '\\'''");
  });
});

describe("with traffic", () => {
  test("the first step comes after the look, and nothing else of any step is different", async () => {
    const [both, without] = [await make({ observe, traffic }), await make({ traffic })];
    expect(find(both, "edge-object")?.dependencies).toEqual(["edge-observe"]);
    const steps = both.filter(({ name }) => name !== "edge-observe");
    expect(steps.map((one) => ({ ...one, dependencies: [], hooks: 0 }))).toEqual(
      without.map((one) => ({ ...one, dependencies: [], hooks: 0 })),
    );
    expect(namesOf(both)).toHaveLength(9);
  });

  test("a warning names listed ports that gain nothing, and unlisted ones that would", async () => {
    const args: SocketBypassArgs = { hosts: { web: { local: true } }, observe, traffic: { ports: ["5201"] } };
    await recordOf(() => new SocketBypass("edge", args));
    expect(texts(warn)).toEqual([
      "observe: port 6379 (redis-server), which traffic does not list, would gain (1.2 to 1.6 times plain TCP): requests of 34 bytes",
      "observe: port 5201 (iperf3), which traffic lists, gains nothing: a stream",
    ]);
    for (const [, resource] of warn.mock.calls) expect(resource).toMatchObject({ __name: "edge-web" });
  });

  test("no warning tells a secret", async () => {
    await make({ observe, traffic: { ports: [pulumi.secret("5201")] } });
    expect(texts(warn)).toEqual([expect.stringContaining("traffic is a secret, so it is not compared here")]);
  });
});

describe("a preview without traffic", () => {
  test("says once for all hosts that nothing is loaded", async () => {
    const hosts = Object.fromEntries(["a", "b", "c", "d", "e", "f", "g"].map((name) => [name, far]));
    await recordOf(() => new SocketBypass("edge", { hosts, observe }), true);
    const loads = texts(info).filter((text) => text.includes("loads nothing"));
    expect(loads).toEqual([
      "observe: without traffic, up loads nothing into the datapath of a, b, c, d, e and 2 more: it looks at the connections and leaves no file",
    ]);
  });

  test("is quiet about that with traffic", async () => {
    await recordOf(() => new BypassHost("edge", { local: true, observe, traffic }), true);
    expect(texts(info)).toEqual([]);
  });
});

describe("the advice", () => {
  test("is an output of a BypassHost, and of a SocketBypass by host", async () => {
    let [host, many]: [pulumi.Output<unknown>, pulumi.Output<unknown>] = [pulumi.output(0), pulumi.output(0)];
    await recordOf(async () => {
      host = new BypassHost("one", { local: true, observe }).advice ?? host;
      many = new SocketBypass("edge", { hosts: { a: { local: true }, b: far }, observe, traffic }).advice;
      const its = { kernel: "6.1.0", services: [{ port: 6379 }, { port: 5201 }], traffic: { ports: [6379] } };
      expect(await resolved(host)).toMatchObject(its);
      expect(await resolved(many)).toMatchObject({ a: its, b: its });
    });
  });

  test("is absent without observe", async () => {
    await recordOf(async () => {
      expect(new BypassHost("one", { local: true, traffic }).advice).toBeUndefined();
      expect(await resolved(new SocketBypass("edge", { hosts: { a: { local: true } }, traffic }).advice)).toEqual({});
    });
  });

  test("comes without anything installed: no report, no generation", async () => {
    await recordOf(async () => {
      const { hosts, generation } = new SocketBypass("edge", { hosts: { a: { local: true } }, observe });
      expect([await resolved(hosts), await resolved(generation)]).toEqual([{}, ""]);
    });
  });
});

test.each([
  [
    "no advice",
    "\x1b[2JWelcome",
    /^expected the host to answer with its advice, found another answer; correct what makes sshd force/,
  ],
  ["advice", answer, undefined],
  ["nothing, as a step that --target leaves out", undefined, undefined],
])("a host that answers with %s", async (_, printed, expected) => {
  const wrong = await isAdvice({ stdout: pulumi.output(printed) } as StepResource);
  const text = (wrong?.error as Error | undefined)?.message;
  if (expected === undefined) expect(text).toBeUndefined();
  else expect(text).toMatch(expected);
  expect(`${text}`).not.toContain("Welcome");
});

test("hosts are observed in the order of the roll-out", async () => {
  const hosts = { a: far, b: far, c: far };
  const rollout = { canary: ["b"], batchSize: 1 };
  const all = await recordOf(() => new SocketBypass("edge", { hosts, observe, rollout }));
  const waits = ["b", "a", "c"].map((key) => find(all, `edge-${key}-observe`)?.dependencies);
  expect(waits).toEqual([[], ["edge-b-observe"], ["edge-a-observe"]]);
});
