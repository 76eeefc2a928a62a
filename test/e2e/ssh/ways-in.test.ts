// SPDX-License-Identifier: Apache-2.0
import { spawn, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test, vi } from "vitest";
import type { Connection, Host } from "../../../src/index.js";
import { each, steps } from "../local/machine.js";
import { atEnd, Far, isSkipped, makeFolder, makeKeys } from "./far.js";
import { Fleet } from "./fleet.js";

const everything = { everything: true };
const eachOf = (hosts: readonly string[], op: string, names = steps) =>
  each(
    op,
    hosts.flatMap((host) => names.map((step) => `${host}-${step}`)),
  );

// These do not prove other kernels or systemd, nor that the steps check a host key if the command
// provider is the stand-in, which ignores it.
describe.skipIf(isSkipped)("hosts behind real sshds", () => {
  const secrets = { login: "correct-horse", key: "battery-staple" };
  let hosts: Record<string, Host>;
  let fars: Record<string, Far>;

  beforeAll(async () => {
    const encrypted = makeKeys("ed25519", secrets.key);
    const plain = makeKeys("ecdsa");
    const held = makeKeys();
    const agent = await startAgent(held.file);
    const bastion = await new Far({ keys: plain }).start();
    const force = join(makeFolder(), "force");
    fs.chmodSync(join(force, ".."), 0o755);
    fs.writeFileSync(
      force,
      '#!/bin/sh\nlogger -- "$SSH_ORIGINAL_COMMAND" 2>/dev/null\nexec sh -c "$SSH_ORIGINAL_COMMAND"\n',
      { mode: 0o755 },
    );
    const [fish, csh] = [pathOf("fish"), pathOf("tcsh")];
    fars = {
      // An encrypted key, a bastion, fish, one session per connection.
      inner: new Far({ keys: encrypted, behind: bastion, shell: fish, config: ["MaxSessions 1"] }),
      // A password, csh, sudo, no environment accepted (as sshd is without a configuration).
      ops: new Far({ user: "ops", password: secrets.login, shell: csh, sudoers: "ops ALL=(root) NOPASSWD: ALL" }),
      // An agent, and a forced command that runs what was asked for.
      forced: new Far({ keys: held, hostKeyType: "ecdsa", config: [`ForceCommand ${force}`] }),
    };
    for (const far of Object.values(fars)) await far.start();
    const { inner, ops, forced } = fars as { inner: Far; ops: Far; forced: Far };
    hosts = {
      inner: { connection: inner.connection({ privateKeyPassword: secrets.key, proxy: bastion.login() }) },
      ops: { connection: ops.connection(), become: "sudo -n" },
      forced: {
        connection: { ...without(forced.connection(), "privateKey"), agentSocketPath: agent },
      },
    };
  });

  test("get the eight steps, change nothing in a second preview, get a new policy, and are left as they were found", async () => {
    const names = Object.keys(hosts);
    const fleet = new Fleet({ hosts, traffic: everything, spliceGuard: "off" });
    const planned = await fleet.preview();
    expect(planned.changes).toEqual(eachOf(names, "create"));
    expect(
      Object.values(fars)
        .map((far) => far.log())
        .join(),
    ).not.toContain("Accepted");

    expect((await fleet.up()).changes).toEqual(eachOf(names, "create"));
    for (const [name, far] of Object.entries(fars)) {
      const [found, ...more] = far.status();
      expect(found).toMatchObject({ healthy: true, problems: [], owner: `ssh-test/${fleet.stackName}/edge/${name}` });
      expect(more).toEqual([]);
      expect(traffic(far)).toBe("exact");
      expect(far.status()[0]?.generations[0]?.counters.redirected_messages).toBeGreaterThan(50);
    }
    const again = await fleet.preview();
    expect(again.changes).toEqual({});

    fleet.args = { ...fleet.args, traffic: { ports: ["1"] } };
    expect((await fleet.up()).changes).toEqual(eachOf(names, "update", ["policy"]));
    for (const far of Object.values(fars)) expect(far.status()[0]?.policy).toMatchObject({ ports: "1" });

    const kept = fleet.stateFile() + planned.said + again.said;
    for (const [name, far] of Object.entries(fars)) {
      expect(kept).toContain(`edge-${name}-attachment`);
      for (const part of [far.address, ...Object.values(secrets), "BEGIN OPENSSH", "ssh-ed25519", "ecdsa-sha2"]) {
        expect({ part, isKept: kept.includes(part) }).toEqual({ part, isKept: false });
      }
    }

    expect((await fleet.destroy()).changes).toEqual(eachOf(names, "delete"));
    for (const far of Object.values(fars)) expect(far.traces()).toEqual([]);
  }, 240_000);

  test("that let nobody in are reported by name with the reason, in bounded time, and block no other host", async () => {
    const keys = makeKeys();
    const good = await new Far({ keys }).start();
    const asking = await new Far({ user: "ops", keys, sudoers: "ops ALL=(root) ALL" }).start();
    const patience = { dialErrorLimit: 1, perDialTimeout: 2 };
    const closed = new Far({ keys });
    const fleet = new Fleet({
      traffic: everything,
      spliceGuard: "off",
      selfTest: { enabled: false },
      hosts: {
        good: { connection: good.connection() },
        asking: { connection: asking.connection(), become: "sudo -n" },
        unknown: {
          connection: good.connection({ ...patience, privateKey: makeKeys().privateKey, password: "hunter2" }),
        },
        closed: { connection: closed.connection(patience) },
        gone: { connection: { ...closed.connection(patience), host: closed.nobody() } },
        other: { connection: good.connection(), machine: "aarch64", machineId: "other" },
      },
    });
    const { said, changes } = await fleet.failure(fleet.up({ continueOnError: true }));
    expect(changes).toEqual({
      ...eachOf(["good"], "create"),
      ...eachOf(["asking", "unknown", "closed", "gone", "other"], "create", ["object"]),
    });
    expect(good.status()).toMatchObject([{ healthy: true }]);
    expect(said).toContain("sudo: a password is required");
    expect(said).toContain("the host refuses this user with this key, password or agent");
    expect(said).toContain("the host refuses the connection");
    expect(said).toContain("the host does not answer within 2 s");
    expect(said).toContain("this host is of type x86_64: declare it so (machine)");
    expect(said).not.toMatch(/hunter2|BEGIN OPENSSH/);
    await fleet.destroy();
    for (const far of [good, asking]) expect(far.traces()).toEqual([]);
  }, 120_000);

  test("that let nobody in behind a bastion are reported with the reason, and whether it is the host or the bastion", async () => {
    const keys = makeKeys();
    const bastion = await new Far({ keys }).start();
    const far = await new Far({ keys, behind: bastion }).start();
    const proxy = { ...bastion.login(), dialErrorLimit: 0 };
    const behind = (more: Partial<Connection> = {}, by: object = proxy) => ({
      connection: far.connection({ dialErrorLimit: 0, perDialTimeout: 2, ...more, proxy: by as never }),
    });
    const other = makeKeys();
    const fleet = new Fleet({
      traffic: everything,
      hosts: {
        key: behind({ privateKey: other.privateKey }),
        hostkey: behind({ hostKey: other.publicKey }),
        closed: behind({ port: 1 }),
        bastion: behind({}, { ...proxy, privateKey: other.privateKey }),
        bastionkey: behind({}, { ...proxy, hostKey: other.publicKey }),
      },
    });
    const { said } = await fleet.failure(fleet.up({ continueOnError: true }));
    for (const [name, why] of [
      ["key", "the host refuses this user with this key, password or agent"],
      ["hostkey", "the host has another host key than the declared one"],
      ["closed", "the host cannot be reached from its bastion"],
      ["bastion", "the host its bastion refuses this user with this key, password or agent"],
      ["bastionkey", "the host its bastion has another host key than the declared one"],
    ])
      expect(said).toContain(`before hook "files for edge-${name}" failed: ${why}`);
    expect(far.traces()).toEqual([]);
    await fleet.destroy();
  }, 120_000);

  test("that have another host key than the declared one get neither a password nor a command", async () => {
    const far = await new Far({ password: "correct-horse" }).start();
    const connection = far.connection({ hostKey: makeKeys().publicKey, dialErrorLimit: 0 });
    const fleet = new Fleet({ traffic: everything, hosts: { web: { connection } } });
    const { said, changes } = await fleet.failure(fleet.up());
    expect(changes).toEqual({ "web-object": "create" });
    expect(said).toContain("the host has another host key than the declared one");
    expect(far.log()).not.toMatch(/Accepted|Failed password/);
    expect(far.traces()).toEqual([]);
    await fleet.destroy();
  });
});

function without<T extends object, K extends keyof T>(value: T, key: K): Omit<T, K> {
  const { [key]: _, ...rest } = value;
  return rest;
}

function pathOf(shell: string): string {
  const { stdout } = spawnSync("sh", ["-c", `command -v ${shell}`], { encoding: "utf8" });
  if (stdout === "") throw new Error(`expected ${shell} on PATH, found none; install it`);
  return stdout.trim();
}

async function startAgent(key: string): Promise<string> {
  const socket = join(makeFolder(), "agent");
  const agent = spawn("ssh-agent", ["-D", "-a", socket], { stdio: "ignore" });
  atEnd(() => agent.kill());
  await vi.waitFor(() => expect(fs.existsSync(socket)).toBe(true), { timeout: 10_000, interval: 20 });
  const { status, stderr } = spawnSync("ssh-add", [key], {
    env: { ...process.env, SSH_AUTH_SOCK: socket },
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(`ssh-add: ${stderr}`);
  return socket;
}

/** Lets a process on the far machine talk to itself, and returns whether every byte came back. */
function traffic(far: Far): string {
  return far.run("python3", join(__dirname, "talk.py")).trim();
}
