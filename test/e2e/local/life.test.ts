// SPDX-License-Identifier: Apache-2.0
import { release } from "node:os";
import { describe, expect, test } from "vitest";
import { attachments, each, isSkipped, Machine, steps } from "./machine.js";

describe.skipIf(isSkipped)("from the first preview to destroy", () => {
  test("a preview names the eight steps, up runs them, a second up changes nothing, destroy leaves nothing", async () => {
    const machine = new Machine();
    machine.args = { ...machine.args, selfTest: { enabled: true } };
    const planned = await machine.preview();
    expect(Object.keys(planned.changes)).toEqual(steps);
    expect(planned.changes).toEqual(each("create"));
    expect(machine.traces()).toEqual([]);

    expect((await machine.up()).changes).toEqual(each("create"));
    expect(machine.status()).toMatchObject({ healthy: true, owner: machine.owner(), cgroup: machine.cgroup });
    expect(attachments(machine.cgroupFolder())).toEqual(["track_sockets"]);
    const outputs = await (await machine.open()).outputs();
    expect(outputs.generation?.value).toBe(machine.generation());
    const selfTest = outputs.hosts?.value.web.selfTest;
    expect(selfTest).toMatchObject({ outcome: "passed", kernel: release(), facts: { msgPeek: "works" } });

    expect((await machine.up()).changes).toEqual({});
    expect((await machine.destroy()).changes).toEqual(each("delete"));
    expect(machine.traces()).toEqual([]);
  });

  test("only the allowed port is bypassed, and a port change updates the policy alone while old connections live on", async () => {
    const machine = new Machine();
    const traffic = await machine.startTraffic();
    const [first, second] = traffic.ports;
    machine.args = { ...machine.args, traffic: { ports: [first] } };
    await machine.up();

    expect(await traffic.ask(`open ${second}`)).toBe("exact");
    expect(machine.counter("redirected_messages")).toBe(0);
    expect(await traffic.ask(`open ${first}`)).toBe("exact");
    const before = machine.counter("redirected_messages");
    expect(before).toBeGreaterThan(50);

    machine.args = { ...machine.args, traffic: { ports: [second] } };
    expect((await machine.up()).changes).toEqual({ policy: "update" });
    const pairs = machine.counter("pairs");
    expect(await traffic.ask(`open ${first}`)).toBe("exact");
    expect(machine.counter("pairs")).toBe(pairs);
    expect(await traffic.ask(`open ${second}`)).toBe("exact");
    expect(machine.counter("pairs")).toBe(pairs + 1);
    expect(await traffic.ask("again")).toBe("4 exact");
    await machine.destroy();
    expect(await traffic.ask("again")).toBe("4 exact");
    expect(machine.traces()).toEqual([]);
  });
});
