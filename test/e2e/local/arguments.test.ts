// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import type { Changes } from "./follow.js";
import { type Args, attachments, each, isSkipped, Machine, steps } from "./machine.js";

describe.skipIf(isSkipped)("an argument that changes", () => {
  test("never replaces a step, and runs only what depends on it", async () => {
    const machine = new Machine();
    await machine.up();
    const policy = { policy: "update" };
    const ends = { object: "update", attachment: "update" };
    // The line of every step contains the generation.
    const all = each("update");
    const changes: [string, Args, Changes][] = [
      ["enabled", { enabled: false }, policy],
      ["traffic.ports", { traffic: { ports: ["1-65535"] } }, policy],
      ["traffic.cidrs", { traffic: { cidrs: ["127.0.0.0/8"] } }, policy],
      ["limits.queueBytes", { limits: { queueBytes: 65536 } }, policy],
      ["limits.sockets", { limits: { queueBytes: 65536, sockets: 1024 } }, all],
      ["limits.pendingPairs", { limits: { queueBytes: 65536, sockets: 1024, pendingPairs: 1024 } }, all],
      ["bpf.compile", { bpf: { compile: "target" } }, all],
      ["takeOver", { takeOver: true }, ends],
      ["adopt", { adopt: true }, all],
      ["cgroup", { cgroup: `${machine.cgroup}-other` }, ends],
    ];
    for (const [name, change, expected] of changes) {
      machine.args = { ...machine.args, ...change };
      expect({ name, changes: (await machine.up()).changes }).toEqual({ name, changes: expected });
      expect({ name, problems: machine.status().problems }).toEqual({ name, problems: [] });
    }
    for (const timeoutSeconds of [undefined, 20]) {
      machine.args = { ...machine.args, selfTest: { enabled: true, ...(timeoutSeconds && { timeoutSeconds }) } };
      const { selftest, ...others } = (await machine.up()).changes;
      expect(selftest).toBe("update");
      // Its findings go to the later steps, and it seldom finds the same numbers twice.
      expect({ ...others, policy: "update", attachment: "update" }).toEqual({ policy: "update", attachment: "update" });
    }
    await machine.destroy();
    expect(machine.traces()).toEqual([]);
  }, 240_000);

  test("to another cgroup runs only the object and the attachment", async () => {
    const machine = new Machine();
    await machine.up();
    machine.args = { ...machine.args, cgroup: `${machine.cgroup}-other` };
    expect((await machine.up()).changes).toEqual({ object: "update", attachment: "update" });
    expect(attachments(machine.cgroupFolder())).toEqual([]);
    expect(attachments(machine.cgroupFolder("-other"))).toEqual(["track_sockets"]);
  });

  test("so that a new generation is needed updates in place while an old connection stays byte-exact", async () => {
    const machine = new Machine();
    await machine.up();
    const before = machine.generation();
    const traffic = await machine.startTraffic();
    expect(await traffic.ask(`open ${traffic.ports[0]}`)).toBe("exact");
    expect(await traffic.ask("flow")).toBe("flowing");
    machine.args = { ...machine.args, limits: { sockets: 4096 } };
    expect((await machine.up()).changes).toEqual(each("update"));
    expect(await traffic.ask("stop")).toBe("1 exact");
    expect(machine.generation()).not.toBe(before);
    expect(machine.status().generations.map(({ generation }) => generation)).toEqual([machine.generation()]);
    expect(attachments(machine.cgroupFolder())).toEqual(["track_sockets"]);
    expect(await traffic.ask(`open ${traffic.ports[0]}`)).toBe("exact");
    expect(machine.counter("pairs")).toBe(1);
  });

  test("to another machineId removes everything in reverse order, and installs it again", async () => {
    const machine = new Machine();
    await machine.up();
    machine.args = {
      ...machine.args,
      hosts: { web: { local: true, stateDir: machine.stateDir, machineId: "another" } },
    };
    const { changes } = await machine.up();
    expect(Object.keys(changes).sort()).toEqual([...steps].sort());
    for (const ops of Object.values(changes)) expect(ops).toContain("replace");
    expect(machine.status()).toMatchObject({ healthy: true });
    await machine.destroy();
    expect(machine.traces()).toEqual([]);
  });
});
