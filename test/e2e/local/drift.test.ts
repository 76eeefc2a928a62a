// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { attachments, each, isSkipped, Machine, steps } from "./machine.js";

// These do not prove a real reboot: they keep the files and remove the kernel's part, as a reboot
// does.
describe.skipIf(isSkipped)("with detectDrift", () => {
  test("a missing attachment shows as an update of that step, with the reason, and up repairs it", async () => {
    const machine = drifting();
    await machine.up();
    expect((await machine.preview()).changes).toEqual({});
    detach(machine);
    const planned = await machine.preview();
    expect(planned.changes).toEqual({ attachment: "update" });
    expect(planned.said).toMatch(/drift: .*expected to be attached to \S+, found nothing/);
    expect((await machine.up()).changes).toEqual({ attachment: "update" });
    expect(machine.status()).toMatchObject({ healthy: true, problems: [] });
    const again = await machine.preview();
    expect([again.changes, again.said]).toEqual([{}, expect.not.stringContaining("drift")]);
  });

  test("a drain by hand shows as an update of the policy alone, and up reverts it", async () => {
    const machine = drifting();
    await machine.up();
    machine.host("drain");
    expect((await machine.preview()).changes).toEqual({ policy: "update" });
    expect((await machine.up()).changes).toEqual({ policy: "update" });
    expect(machine.status()).toMatchObject({ healthy: true });
    expect((await machine.preview()).changes).toEqual({});
  });

  test("up restores missing pins, as after a reboot, and then missing files", async () => {
    const machine = drifting();
    await machine.up();
    fs.rmSync(machine.pins(), { recursive: true });
    const planned = (await machine.preview()).changes;
    expect(planned).toMatchObject({ "map-sockets": "update", attachment: "update" });
    expect(planned).not.toHaveProperty("object");
    await machine.up();
    expect(machine.status()).toMatchObject({ healthy: true, problems: [] });
    expect(attachments(machine.cgroupFolder())).toEqual(["track_sockets"]);
    expect((await machine.preview()).changes).toEqual({});

    fs.rmSync(join(machine.stateDir, machine.instance()), { recursive: true });
    expect(Object.keys((await machine.preview()).changes)).toEqual(steps);
    await machine.up();
    expect(machine.status()).toMatchObject({ healthy: true, problems: [] });
    expect((await machine.preview()).changes).toEqual({});
    await machine.destroy();
    expect(machine.traces()).toEqual([]);
  });

  test("a policy that was set by hand shows as an update of its step, and up restores the stack's own", async () => {
    const machine = drifting();
    machine.args = { ...machine.args, traffic: { ports: ["80"] } };
    await machine.up();
    setByHand(machine, "--everything");
    // The host itself sees no problem, because its record has that policy.
    expect(machine.status()).toMatchObject({ healthy: true, policy: { everything: true } });
    const planned = await machine.preview();
    expect(planned.changes).toEqual({ policy: "update" });
    expect(planned.said).toContain("drift: policy: expected what this stack made last, found something else");
    expect((await machine.up()).changes).toEqual({ policy: "update" });
    expect(machine.status()).toMatchObject({ healthy: true, policy: { everything: false, ports: "80" } });
    const calm = await machine.preview();
    expect([calm.changes, calm.said]).toEqual([{}, expect.not.stringContaining("drift")]);
    // Even setting the same policy by hand shows, because the stack knows what it set itself.
    setByHand(machine, "--everything");
    setByHand(machine, "--ports", "80");
    expect((await machine.up()).changes).toEqual({ policy: "update" });
    expect((await machine.preview()).changes).toEqual({});
  });

  test("a restored snapshot of an earlier policy or generation shows as updates, and up reverts it", async () => {
    const machine = drifting();
    machine.args = { ...machine.args, traffic: { ports: ["80"] } };
    await machine.up();
    const putBack = snapshot(machine);
    machine.args = { ...machine.args, traffic: { ports: ["80", "443"] } };
    await machine.up();
    putBack();
    expect(machine.status()).toMatchObject({ healthy: true, policy: { ports: "80" } });
    expect((await machine.preview()).changes).toEqual({ policy: "update" });
    expect((await machine.up()).changes).toEqual({ policy: "update" });
    expect(machine.status()).toMatchObject({ healthy: true, policy: { ports: "80,443" } });
    expect((await machine.preview()).changes).toEqual({});

    machine.args = { ...machine.args, limits: { sockets: 1024 } };
    await machine.up();
    const generation = machine.generation();
    putBack();
    expect(machine.generation()).not.toBe(generation);
    expect((await machine.preview()).changes).toEqual(each("update"));
    await machine.up();
    expect(machine.status()).toMatchObject({ healthy: true, serving: generation, policy: { ports: "80,443" } });
    expect((await machine.preview()).changes).toEqual({});
    await machine.destroy();
    expect(machine.traces()).toEqual([]);
  });

  test("a boot is not drift", async () => {
    const machine = drifting();
    await machine.up();
    snapshot(machine)();
    const { changes, said } = await machine.preview();
    expect([changes, said]).toEqual([{}, expect.not.stringContaining("drift")]);
  });
});

describe.skipIf(isSkipped)("without detectDrift", () => {
  test("a preview asks no host", async () => {
    const machine = new Machine();
    await machine.up();
    detach(machine);
    const { changes, said } = await machine.preview();
    expect([changes, said]).toEqual([{}, expect.not.stringContaining("drift")]);
  });
});

function drifting(): Machine {
  const machine = new Machine();
  machine.args = { ...machine.args, detectDrift: true };
  return machine;
}

function setByHand(machine: Machine, ...words: string[]): void {
  machine.host("policy", "set", ...words, "--generation", machine.generation(), "--owner", machine.owner());
}

/** Copies the files of the machine. The returned function restores them and boots. */
function snapshot(machine: Machine): () => void {
  const [home, copy] = [join(machine.stateDir, machine.instance()), join(machine.folder, "snapshot")];
  fs.cpSync(home, copy, { recursive: true, verbatimSymlinks: true });
  return () => {
    machine.host("remove", "--force");
    fs.cpSync(copy, home, { recursive: true, verbatimSymlinks: true });
    fs.chmodSync(machine.stateDir, 0o700);
    machine.host("boot", "start");
  };
}

function detach(machine: Machine): void {
  const track = join(machine.pins(), machine.generation(), "track");
  execFileSync("bpftool", ["cgroup", "detach", machine.cgroupFolder(), "sock_ops", "pinned", track]);
}
