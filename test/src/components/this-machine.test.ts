// SPDX-License-Identifier: Apache-2.0
/*
 * A deployer that is no Linux machine. Only the platform's name, its paths and its agents are
 * played; nothing here runs on macOS or Windows.
 */
import * as fs from "node:fs";
import * as path from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { afterEach, describe, expect, test, vi } from "vitest";
import type * as Package from "../../../src/index";
import { problemsOfOne } from "../args/report";
import { answerOf, far } from "../far";
import { commandsOf, record } from "../record";

const { platform } = process;
const pretend = (name: string) => Object.defineProperty(process, "platform", { value: name });
afterEach(() => {
  pretend(platform);
  vi.unstubAllEnvs();
  vi.doUnmock("node:path");
  vi.doUnmock("node:fs");
  vi.resetModules();
});

const traffic = { ports: ["80"] };
const load = (): Promise<typeof Package> => import("../../../src/index.js");

describe.each([
  ["darwin", "macOS"],
  ["win32", "Windows"],
])("on %s", (name, called) => {
  const problem = (at: string) =>
    `${at}local: expected Linux on the machine that runs Pulumi, found ${called}; run Pulumi on the Linux machine itself, or reach it from here by SSH: give connection instead of local`;

  test("a local host is refused, and nothing of it is registered", async () => {
    pretend(name);
    const { BypassHost, SocketBypass } = await load();
    const all = await record(() => {
      expect(() => new BypassHost("one", { local: true, traffic })).toThrow(problem(""));
      expect(() => new SocketBypass("edge", { hosts: { far, web: { local: true } }, traffic })).toThrow(
        problem("hosts.web."),
      );
    });
    expect(all.map((one) => one.name).sort()).toEqual(["edge", "one"]);
  });

  test("a unit test with the mocks of the SDK may declare a local host", async () => {
    pretend(name);
    const { BypassHost } = await load();
    const steps = new Set<string>();
    // record() would play an engine.
    await pulumi.runtime.setMocks({
      call: ({ inputs }) => inputs,
      newResource: ({ type, name, inputs }) => {
        if (type.startsWith("command:")) steps.add(name);
        return { id: `${name} id`, state: inputs };
      },
    });
    new BypassHost("one", { local: true, traffic });
    await vi.waitFor(() => expect(steps.size).toBe(8), { timeout: 20_000 });
  });
});

/** The functions of node:fs, which take a path of Windows for the same path of this machine. */
const fsOfWindows = () => {
  const here = (file: unknown) => `${file}`.replaceAll("\\", "/");
  const all = {
    ...fs,
    existsSync: (file: string) => fs.existsSync(here(file)),
    readdirSync: (file: string) => fs.readdirSync(here(file)),
    readFileSync: (file: string, ...more: []) => fs.readFileSync(here(file), ...more),
  };
  return { ...all, default: all };
};

test("a host over SSH gets the same lines from Windows, whose paths have backslashes", async () => {
  const declare = async () => {
    const { BypassHost } = await load();
    const args = { ...far, traffic, adopt: true, stateDir: "/opt/sb" };
    const all = await record(() => new BypassHost("edge", args), false, undefined, answerOf);
    return commandsOf(all).map(({ inputs }) => inputs);
  };
  const here = await declare();
  vi.resetModules();
  pretend("win32");
  const windows = vi.fn(path.win32.join);
  vi.doMock("node:path", () => ({ ...path.win32, join: windows, default: path.win32 }));
  vi.doMock("node:fs", fsOfWindows);
  const there = await declare();
  expect(here).toHaveLength(8);
  expect(there).toEqual(here);
  expect(windows).toHaveBeenCalled();
});

describe("an agent", () => {
  const { password: _, ...login } = far.connection;
  const problems = (more: object) => problemsOfOne({ traffic, connection: { ...login, ...more } });
  const pipe = "\\\\.\\pipe\\openssh-ssh-agent";

  test("has a socket, by the rules for paths of the platform", () => {
    vi.stubEnv("SSH_AUTH_SOCK", undefined);
    expect(problems({ agentSocketPath: "/run/agent" })).toEqual([]);
    expect(problems({ agentSocketPath: "C:\\agent.sock" })).toHaveLength(1);
    pretend("win32");
    expect(problems({ agentSocketPath: "C:\\agent.sock" })).toEqual([]);
    expect(problems({ agentSocketPath: "agent.sock" })).toHaveLength(1);
  });

  test("of Windows with a pipe is refused, because the provider opens none", () => {
    pretend("win32");
    vi.stubEnv("SSH_AUTH_SOCK", undefined);
    expect(problems({ agentSocketPath: pipe })).toEqual([
      "connection.agentSocketPath: the path of an agent's socket, not of a pipe, another text; the provider of Pulumi opens no pipe; give privateKey instead",
    ]);
    vi.stubEnv("SSH_AUTH_SOCK", pipe);
    expect(problems({ password: pulumi.secret("x") })).toEqual([
      "connection.agentSocketPath: an agent with a socket, not with the pipe that SSH_AUTH_SOCK names, nothing; the provider of Pulumi opens no pipe; unset SSH_AUTH_SOCK and give privateKey",
    ]);
  });
});
