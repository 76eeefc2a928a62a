// SPDX-License-Identifier: Apache-2.0
import * as pulumi from "@pulumi/pulumi";
import { describe, expect, test, vi } from "vitest";
import { BypassHost, type Host, SocketBypass } from "../../../src/index";
import { isAnswer } from "../../../src/targets/ssh";
import { answerOf } from "../far";
import { commandsOf, type Registered, record } from "../record";
import { hostKey } from "./keys";

const traffic = { everything: true };
const connection = { host: "10.0.0.11", user: "operator7", password: "hunter2", hostKey };
const make = async (host: Host = {}, answer = answerOf) =>
  commandsOf(await record(() => new BypassHost("edge", { traffic, connection, ...host }), false, undefined, answer));

describe("a host with a connection", async () => {
  const commands = await make({ become: "sudo -n" });

  test("is eight remote commands of the provider", () => {
    expect(commands.map(({ type }) => type)).toEqual(Array(8).fill("command:remote:Command"));
    for (const { inputs, deleteBeforeReplace } of commands) {
      expect(inputs).toMatchObject({ logging: "stderr", addPreviousOutputInEnv: false });
      expect(inputs).not.toHaveProperty("environment");
      expect(inputs).not.toHaveProperty("update");
      expect(deleteBeforeReplace).toBe(true);
    }
  });

  test("gives the provider the connection with our own dial limits", () => {
    for (const { inputs } of commands) {
      expect(inputs.connection).toEqual({ ...connection, port: 22, dialErrorLimit: 10, perDialTimeout: 5 });
    }
  });

  test("runs plain commands, each with a time limit after become", () => {
    for (const { inputs } of commands) {
      expect(inputs.create).toMatch(/^sudo -n timeout -k 10 (300|360) sh [^\n;|&<>$`]+$/);
      if ("delete" in inputs) expect(inputs.delete).toMatch(/^sudo -n timeout -k 10 300 sh -c '/);
    }
    const bounds = commands.map(({ inputs }) => Number(/-k 10 (\d+)/.exec(`${inputs.create}`)?.[1]));
    expect(bounds).toEqual([300, 300, 300, 300, 300, 360, 300, 300]);
  });

  test("is identified by its machineId or a digest of address and port", async () => {
    const firstOf = (all: readonly Registered[]) => (all.at(0)?.inputs.triggers as string[] | undefined)?.[0];
    const first = firstOf(commands);
    expect(first).toMatch(/^[0-9a-f]{12}$/);
    const idOf = async (host: Host) => firstOf(await make(host));
    expect(await idOf({ connection: { ...connection, port: 22, user: "root", password: "other" } })).toBe(first);
    expect(await idOf({ connection: { ...connection, host: "10.0.0.12" } })).not.toBe(first);
    expect(await idOf({ connection: { ...connection, port: 23 } })).not.toBe(first);
    expect(await idOf({ machineId: "vm-1" })).toBe("vm-1");
  });

  test("shows nothing of the connection in any other input", () => {
    for (const { inputs } of commands) {
      const { connection: _, ...others } = inputs;
      expect(JSON.stringify(others)).not.toMatch(/10\.0\.0\.11|hunter2|operator7|ssh-ed25519/);
    }
  });
});

test("a connection is secret, whatever it is made of", async () => {
  const secrets: boolean[] = [];
  await record(
    async () => {
      const monitor = pulumi.runtime.getMonitor() as unknown as {
        registerResource(request: { getName(): string; getObject(): { toJavaScript(): object } }, done: unknown): void;
      };
      const next = monitor.registerResource.bind(monitor);
      monitor.registerResource = (request, done) => {
        const { connection: one } = request.getObject().toJavaScript() as { connection?: object };
        if (one !== undefined) secrets.push("4dabf18193072939515e22adb298388d" in one);
        next(request, done);
      };
      new BypassHost("edge", { traffic, connection });
    },
    false,
    undefined,
    answerOf,
  );
  expect(secrets.length).toBeGreaterThan(0);
  expect(new Set(secrets)).toEqual(new Set([true]));
});

test("what a login shell prints before the answer is ignored", async () => {
  const commands = await make({}, (name) => `Welcome!\n\n${answerOf(name)}`);
  expect(commands.map(({ inputs }) => inputs.stdin).slice(1, 3)).toEqual(["17", "17"]);
  // The next step needs only the serial of the self-test's answer.
  expect(commands.at(-1)?.inputs.stdin).toBe("17");
});

test.each([
  ["a text", "Welcome!"],
  ["nothing", ""],
  ["half of an answer", '{"serial":1,"selftest":}'],
  ["an endless number", "1".repeat(100)],
  ["an answer with a character that reverses the text", '{"serial":1,"selftest":"\u202e"}'],
  ["an answer with a sequence that moves the cursor", '{"serial":1,"selftest":"\u009b2J"}'],
  ["an endless answer", `{"serial":1,"selftest":"${"x".repeat(20_000)}"}`],
])("%s is not an answer of a step", (_, line) => {
  expect(isAnswer(line)).toBe(false);
});

test.each(["17", "17 left=1 unread=4096", '{"serial":17,"selftest":"passed"}'])("%s is an answer of a step", (line) => {
  expect(isAnswer(line)).toBe(true);
});

test("hosts with and without a connection can be mixed", async () => {
  const all = commandsOf(
    await record(
      () => new SocketBypass("edge", { traffic, hosts: { far: { connection }, near: { local: true } } }),
      false,
      undefined,
      answerOf,
    ),
  );
  const types = (host: string) =>
    new Set(all.filter(({ name }) => name.startsWith(`edge-${host}-`)).map(({ type }) => type));
  expect([types("far"), types("near")]).toEqual([
    new Set(["command:remote:Command"]),
    new Set(["command:local:Command"]),
  ]);
});

test("the type of machine decides which helper is sent", async () => {
  const probe = async (host: Host) => /--digest (\w+)/.exec(`${(await make(host))[0]?.inputs.create}`)?.[1];
  const usual = await probe({});
  expect(await probe({ machine: "x86_64" })).toBe(usual);
  expect(await probe({ machine: "aarch64" })).not.toBe(usual);
});

test("one warning names all hosts whose host keys are not checked", async () => {
  const { hostKey: _, ...open } = connection;
  const hosts = {
    a: { connection: open, allowUnknownHostKey: true },
    b: { connection },
    c: { connection: open, allowUnknownHostKey: true },
  };
  const warn = vi.spyOn(pulumi.log, "warn").mockResolvedValue();
  await record(() => new SocketBypass("edge", { traffic, hosts }), false, undefined, answerOf);
  const said = warn.mock.calls.map(([text]) => text);
  warn.mockRestore();
  expect(said).toEqual([
    "a, c: no host key is checked (allowUnknownHostKey), so whoever answers at that address gets the password and runs as root; give hostKey",
  ]);
});
