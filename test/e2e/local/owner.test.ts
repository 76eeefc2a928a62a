// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { attachments, each, isSkipped, Machine } from "./machine.js";

describe.skipIf(isSkipped)("one machine, two who want it", () => {
  test("a second stack is refused with the name of who is there and the way out, and changes nothing", async () => {
    const [first, second] = twoStacks();
    await first.up();
    const said = await second.failure(second.up());
    expect(said).toContain(
      `cgroup ${first.cgroup}: expected no other instance on it, above or below, found ${first.instance()} on ${first.cgroup}`,
    );
    expect(said).toContain(
      `type «socket-bypass remove --instance ${first.instance()}», or say --take-over (takeOver: true)`,
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

  test("a host key that is renamed is refused with the way out, and the old key serves on", async () => {
    const machine = new Machine();
    await machine.up();
    rename(machine);
    expect(await machine.failure(machine.up())).toContain(`found ${machine.instance()} on ${machine.cgroup}; type`);
    expect(machine.status()).toMatchObject({ healthy: true, owner: machine.owner() });
  });

  test("a host key that is renamed with takeOver loses nothing to the deletes of the old key", async () => {
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
  machine.args = { ...machine.args, hosts: { www: { stateDir: machine.stateDir } } };
}
