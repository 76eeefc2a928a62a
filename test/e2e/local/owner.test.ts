// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { attachments, each, isSkipped, Machine } from "./machine.js";

describe.skipIf(isSkipped)("one machine that two stacks want", () => {
  test("a second stack is refused, is told who is there and what to do, and changes nothing", async () => {
    const [first, second] = twoStacks();
    await first.up();
    const said = await second.failure(second.up());
    expect(said).toContain(
      `cgroup ${first.cgroup}: expected no other instance on it, above or below, found ${first.instance()} on ${first.cgroup}`,
    );
    expect(said).toContain(
      `type 'socket-bypass remove --instance ${first.instance()}', or say --take-over (takeOver: true)`,
    );
    await second.destroy();
    expect(first.status()).toMatchObject({ healthy: true, owner: first.owner() });
    expect(attachments(first.cgroupFolder())).toEqual(["track_sockets"]);
  });

  test("with takeOver the second stack serves alone, and a destroy of the first takes nothing from it", async () => {
    const [first, second] = twoStacks();
    await first.up();
    second.args = { ...second.args, takeOver: true };
    await second.up();
    expect(attachments(first.cgroupFolder())).toEqual(["track_sockets"]);
    await first.destroy();
    expect(second.status()).toMatchObject({ healthy: true, owner: second.owner() });
    await second.destroy();
    expect([...first.traces(), ...second.traces()]).toEqual([]);
  });

  test("a renamed host is refused and told what to do, and the old one keeps serving", async () => {
    const machine = new Machine();
    await machine.up();
    rename(machine);
    expect(await machine.failure(machine.up())).toContain(`found ${machine.instance()} on ${machine.cgroup}; type`);
    expect(machine.status()).toMatchObject({ healthy: true, owner: machine.owner() });
  });

  test("a host that is renamed with takeOver loses nothing to the deletes of the old one", async () => {
    const machine = new Machine();
    const traffic = await machine.startTraffic();
    await machine.up();
    expect(await traffic.ask(`open ${traffic.ports[0]}`)).toBe("exact");
    rename(machine);
    machine.args = { ...machine.args, takeOver: true };
    const { changes } = await machine.up();
    expect(changes).toMatchObject({ ...each("delete"), "www-attachment": "create" });
    expect(machine.status("www")).toMatchObject({ healthy: true, owner: machine.owner("www") });
    expect(attachments(machine.cgroupFolder())).toEqual(["track_sockets"]);
    expect(await traffic.ask("again")).toBe("1 exact");
    await machine.destroy();
    expect(machine.traces()).toEqual([]);
  });
});

describe.skipIf(isSkipped)("a given instance keeps what is installed, with its program attached all the time,", () => {
  test("when a component is renamed with aliases: each step is an update, and a later up without aliases changes nothing", async () => {
    const machine = new Machine();
    const traffic = await machine.startTraffic();
    await machine.up();
    const watch = watched(machine);
    expect(await traffic.ask(`open ${traffic.ports[0]}`)).toBe("exact");
    const pairs = machine.counter("pairs");
    keepInstance(machine);
    machine.component = "front";
    machine.opts = { aliases: [{ name: "edge" }] };
    expect((await machine.up()).changes).toEqual(each("update"));
    expect(watch()).toEqual([]);
    expect(machine.status()).toMatchObject({ healthy: true, owner: machine.owner(), problems: [] });
    expect(machine.owner()).toContain("/front/web");
    expect(await traffic.ask("again")).toBe("1 exact");
    expect(machine.counter("pairs")).toBe(pairs);
    machine.opts = {};
    expect((await machine.up()).changes).toEqual({});
    expect((await machine.destroy()).changes).toEqual(each("delete"));
    expect(machine.traces()).toEqual([]);
  }, 240_000);

  test("when a host is renamed: the new steps find everything in place, and the deletes of the old ones leave it alone", async () => {
    const machine = new Machine();
    await machine.up();
    const watch = watched(machine);
    const instance = machine.instance();
    machine.args = {
      ...machine.args,
      detectDrift: true,
      hosts: { www: { local: true, stateDir: machine.stateDir, instance } },
    };
    const { changes } = await machine.up();
    expect(changes).toMatchObject({ ...each("delete"), "www-attachment": "create" });
    expect(watch()).toEqual([]);
    expect(machine.status("www")).toMatchObject({ healthy: true, owner: machine.owner("www"), problems: [] });
    expect((await machine.up()).changes).toEqual({});
    await machine.destroy();
    expect(machine.traces()).toEqual([]);
  }, 240_000);

  test("when a host moves to another stack, with takeOver: a destroy of the first stack leaves it alone", async () => {
    const [first, second] = twoStacks();
    await first.up();
    const watch = watched(first, second);
    keepInstance(second, first.instance());
    second.args = { ...second.args, takeOver: true };
    await second.up();
    await first.destroy();
    expect(watch()).toEqual([]);
    expect(second.status()).toMatchObject({ healthy: true, owner: second.owner(), problems: [] });
    await second.destroy();
    expect([...first.traces(), ...second.traces()]).toEqual([]);
  }, 240_000);

  test("but another stack is refused without takeOver", async () => {
    const [first, second] = twoStacks();
    await first.up();
    keepInstance(second, first.instance());
    expect(await second.failure(second.up())).toContain(
      `instance ${first.instance()}: expected owner ${second.owner()}, found ${first.owner()}`,
    );
    await second.destroy();
    expect(first.status()).toMatchObject({ healthy: true, owner: first.owner() });
  }, 240_000);
});

describe.skipIf(isSkipped)("an update that stopped half-way", () => {
  test("and is reverted serves the old generation again", async () => {
    const machine = new Machine();
    const usual = machine.args;
    await machine.up();
    const before = machine.generation();
    machine.writeTool(
      "bpftool",
      `case "$*" in *"cgroup attach"*) echo '{"error":"injected"}'; exit 255 ;; esac\nexec /usr/sbin/bpftool "$@"`,
    );
    machine.args = { ...usual, limits: { sockets: 1024 } };
    await machine.failure(machine.up());
    machine.removeTool("bpftool");
    expect(machine.generation()).toBe(before);
    machine.args = usual;
    expect(Object.keys((await machine.up()).changes)).toContain("attachment");
    expect(machine.status()).toMatchObject({ healthy: true, serving: before, problems: [] });
    expect((await machine.up()).changes).toEqual({});
  });
});

function twoStacks(): [Machine, Machine] {
  const first = new Machine();
  return [first, new Machine(first)];
}

function rename(machine: Machine): void {
  machine.args = { ...machine.args, hosts: { www: { local: true, stateDir: machine.stateDir } } };
}

function keepInstance(machine: Machine, instance = machine.instance()): void {
  machine.args = { ...machine.args, hosts: { web: { local: true, stateDir: machine.stateDir, instance } } };
}

/**
 * Watches the programs at the cgroup of these machines. The returned function lists each attach and
 * detach since then, and the programs that were not there before.
 */
function watched(...all: Machine[]): () => string[] {
  const [machine = new Machine()] = all;
  const log = join(machine.folder, "attached");
  for (const one of all) {
    const tell = `case "$*" in *"cgroup attach"* | *"cgroup detach"*) echo "$*" >>${log} ;; esac`;
    one.writeTool("bpftool", `${tell}\nexec /usr/sbin/bpftool "$@"`);
  }
  const before = programIds(machine);
  return () => [
    ...(existsSync(log) ? readFileSync(log, "utf8").trim().split("\n") : []),
    ...programIds(machine).filter((id) => !before.includes(id)),
  ];
}

function programIds(machine: Machine): string[] {
  const shown = spawnSync("bpftool", ["-j", "cgroup", "show", machine.cgroupFolder()], { encoding: "utf8" }).stdout;
  return JSON.parse(shown).map(({ id }: { id: number }) => `program ${id}`);
}
