// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { bypassHostSchema } from "../../../src/args/bypass-host";
import { connectionSchema } from "../../../src/args/connection";
import { checkNow } from "../../../src/args/validation/check";
import { ArgsError } from "../../../src/args/validation/problem";
import { problemsOfMany, problemsOfOne } from "./report";

const traffic = { everything: true };
const keys = { plain: keyOf("ed25519", ""), encrypted: keyOf("ed25519", "hunter2"), rsa: keyOf("rsa", "") };
const hostKey = keys.plain.public;
const privateKey = keys.plain.private;
const whole = { host: "10.0.0.11", hostKey, privateKey };
const problems = (connection: unknown, more: object = {}) => problemsOfOne({ traffic, connection, ...more });
const pathsOf = (lines: readonly string[]) => lines.map((line) => line.split(": ")[0]);

beforeEach(() => void vi.stubEnv("SSH_AUTH_SOCK", undefined));

function keyOf(type: string, password: string) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "socket-bypass-keys-"));
  const file = path.join(folder, "key");
  execFileSync("ssh-keygen", ["-q", "-t", type, "-N", password, "-C", "me@home", "-f", file]);
  const [mine, theirs] = [file, `${file}.pub`].map((name) => fs.readFileSync(name, "utf8"));
  fs.rmSync(folder, { recursive: true });
  return { private: mine ?? "", public: theirs ?? "" };
}

describe("a connection is valid", () => {
  test.each([
    ["with a key", whole],
    [
      "with an encrypted key and its password",
      { ...whole, privateKey: keys.encrypted.private, privateKeyPassword: "x" },
    ],
    ["with an rsa key of the user", { ...whole, privateKey: keys.rsa.private }],
    ["with a password", { host: "web1.example", hostKey, password: "x" }],
    ["with an agent", { host: "fd00::1", hostKey, agentSocketPath: "/run/agent" }],
    ["with everything", { ...whole, port: 2222, user: "ops", dialErrorLimit: -1, perDialTimeout: 600 }],
    ["through a bastion", { ...whole, proxy: { ...whole, host: "bastion" } }],
    ["when nothing is known yet", pulumi.output(whole)],
    [
      "when parts are not known yet",
      { host: pulumi.output("x"), hostKey: pulumi.secret("y"), password: pulumi.secret("z") },
    ],
    ["when the bastion is not known yet", { ...whole, proxy: pulumi.output({}) }],
  ])("%s", (_, connection) => {
    expect(problems(connection)).toEqual([]);
  });

  test("with the agent that SSH_AUTH_SOCK names", () => {
    vi.stubEnv("SSH_AUTH_SOCK", "/run/agent");
    expect(problems({ host: "x", hostKey })).toEqual([]);
  });

  test("without host keys of host and bastion, only if allowUnknownHostKey is true", () => {
    const connection = { host: "x", privateKey, proxy: { host: "y", privateKey } };
    expect(pathsOf(problems(connection))).toEqual(["connection.proxy.hostKey", "connection.hostKey"]);
    expect(problems(connection, { allowUnknownHostKey: true })).toEqual([]);
    expect(problems(connection, { allowUnknownHostKey: pulumi.output(true) })).toHaveLength(1);
  });
});

describe("a connection is refused", () => {
  const many = {
    host: "",
    port: 70000,
    user: "a b",
    password: "",
    privateKey: "/home/me/.ssh/id",
    agentSocketPath: "x",
  };

  test("and every problem is reported under its path, without any value", () => {
    const [head, ...lines] = problemsOfMany({
      traffic,
      hosts: {
        "web.1": { connection: { ...many, hostKey: "web1 ssh-ed25519 AAAA", perDialTimeout: 0, dialErrorLimit: "9" } },
      },
    });
    expect(head).toBe('9 problems in the arguments of SocketBypass "edge":');
    const names = [
      ...["host", "port", "user", "password", "privateKey", "agentSocketPath"],
      ...["hostKey", "dialErrorLimit", "perDialTimeout"],
    ];
    expect(pathsOf(lines)).toEqual(names.map((name) => `hosts["web.1"].connection.${name}`));
    for (const line of lines) expect(line).toMatch(/, found (an empty text|another (text|number)); /);
    expect(lines.join()).not.toMatch(/70000|a b|\.ssh|web1 ssh/);
  });

  test.each([
    ["ops@10.0.0.11:hunter2", "another text"],
    [["hunter2"], "a list of 1"],
  ])("if it is not an object: %j", (connection, found) => {
    const [line] = problems(connection);
    expect(line).toMatch(/^connection: an object, /);
    expect(line).toContain(`, ${found}; use host, port, user,`);
    expect(line).not.toContain("hunter2");
  });

  test("without a host, a host key, or a way to log in", () => {
    expect(pathsOf(problems({}))).toEqual(["connection.host", "connection.hostKey", "connection.privateKey"]);
  });

  test("with an unknown property, and with a bastion behind a bastion", () => {
    expect(pathsOf(problems({ ...whole, privatekey: "x" }))).toEqual(["connection.privatekey"]);
    expect(pathsOf(problems({ ...whole, proxy: { ...whole, proxy: whole } }))).toEqual(["connection.proxy.proxy"]);
  });

  test("with null, and the error says how to do without", () => {
    expect(problems(null)).toEqual([
      "connection: a connection, nothing; give one, or local: true without a connection",
    ]);
    expect(problems({ ...whole, proxy: null })).toEqual([
      "connection.proxy: a connection, nothing; leave it out for none",
    ]);
  });

  test("with allowUnknownHostKey inside, and the error says where it belongs", () => {
    const problem = (at: string) =>
      `connection.${at}allowUnknownHostKey: this beside the connection, true; move it out of the connection: { connection: { … }, allowUnknownHostKey: true }`;
    const { hostKey: _, ...open } = { ...whole, allowUnknownHostKey: true };
    expect(problems(open)).toEqual([problem("")]);
    expect(problems({ ...whole, proxy: open })).toEqual([problem("proxy.")]);
  });

  test("with an encrypted key but no password for it, and with a key password but no key", () => {
    expect(pathsOf(problems({ ...whole, privateKey: keys.encrypted.private }))).toEqual([
      "connection.privateKeyPassword",
    ]);
    expect(pathsOf(problems({ host: "x", hostKey, password: "y", privateKeyPassword: "x" }))).toEqual([
      "connection.privateKey",
    ]);
  });

  test("with a host key of type rsa, and the error says why", () => {
    const [line, ...more] = problems({ ...whole, hostKey: keys.rsa.public });
    expect(line).toContain("of type ed25519 or ecdsa, such as");
    expect(line).toContain("SHA-1 signatures only, which sshd has not given since OpenSSH 8.8");
    expect(more).toEqual([]);
  });

  test.each([
    ["that is truncated", hostKey.slice(0, 40)],
    ["of another type than it says", hostKey.replace("ssh-ed25519", "ecdsa-sha2-nistp256")],
    ["with the name of the host in front, as in known_hosts", `10.0.0.11 ${hostKey}`],
    ["that is a file name", "/etc/ssh/ssh_host_ed25519_key.pub"],
    ["that is a fingerprint", "SHA256:x"],
  ])("with a host key %s", (_, key) => {
    expect(pathsOf(problems({ ...whole, hostKey: key }))).toEqual(["connection.hostKey"]);
  });

  test("and the error gives the engine no path, because the engine prints the value at each path", () => {
    const resource = {} as pulumi.Resource;
    const check = () => checkNow(bypassHostSchema, { traffic, connection: many }, { resource, what: "x", path: [] });
    expect(check).toThrow(ArgsError);
    try {
      check();
    } catch (error) {
      expect((error as ArgsError).errors).toEqual([]);
    }
  });
});

test("a connection that becomes known later gets the same checks", () => {
  const issues = (isAllowed: boolean) =>
    connectionSchema(isAllowed).safeParse({ host: "x", password: "y" }).error?.issues;
  expect(issues(false)?.map(({ path }) => path)).toEqual([["hostKey"]]);
  expect(issues(true)).toBeUndefined();
});

test.each(["arm64", "X86_64", "", 1])("machine: refuses %j", (machine) => {
  expect(problems(whole, { machine })).toEqual([
    `machine: "x86_64" or "aarch64", ${JSON.stringify(machine)}; give what \`uname -m\` says on the host`,
  ]);
});
