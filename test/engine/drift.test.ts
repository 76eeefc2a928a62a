// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { attachments, isSkipped, Machine, steps } from "./machine.js";

// What these do not prove: a real reboot; the files stay and the kernel's part goes, as after one.
describe.skipIf(isSkipped)("with detectDrift", () => {
  test("an attachment that is gone is an update of that step, with the reason, repaired by up, and then no change", async () => {
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

  test("a policy and a drain by hand are put right by the policy's step alone", async () => {
    const machine = drifting();
    await machine.up();
    machine.host("drain");
    expect((await machine.preview()).changes).toEqual({ policy: "update" });
    expect((await machine.up()).changes).toEqual({ policy: "update" });
    expect(machine.status()).toMatchObject({ healthy: true });
    expect((await machine.preview()).changes).toEqual({});
  });

  test("pins that are gone, as after a reboot, and then files that are gone come back by up, and then no change", async () => {
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
});

describe.skipIf(isSkipped)("without detectDrift", () => {
  test("a preview looks at no host", async () => {
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

function detach(machine: Machine): void {
  const track = join(machine.pins(), machine.generation(), "track");
  execFileSync("bpftool", ["cgroup", "detach", machine.cgroupFolder(), "sock_ops", "pinned", track]);
}
