// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { each, steps } from "../local/machine.js";
import { Fleet } from "../ssh/fleet.js";
import { isSkipped, vms } from "./vm.js";

const all = (op: string) =>
  each(
    op,
    vms.flatMap(({ name }) => steps.map((step) => `${name}-${step}`)),
  );

describe.skipIf(isSkipped)("two machines with kernels of their own", () => {
  test("one up installs on both, the canary first; both serve after a reboot, and one destroy leaves nothing on either", async () => {
    const [first, second] = vms;
    if (first === undefined || second === undefined) throw new Error("expected two machines, found fewer");
    const fleet = new Fleet({
      hosts: { [first.name]: first.host(), [second.name]: second.host() },
      traffic: { everything: true },
      rollout: { canary: [second.name] },
      selfTest: { timeoutSeconds: 300 },
      detectDrift: true,
    });
    const { changes } = await fleet.up();
    expect(changes).toEqual(all("create"));
    expect(Object.keys(changes).slice(0, steps.length)).toEqual(steps.map((step) => `${second.name}-${step}`));
    await Promise.all(vms.map((vm) => vm.reboot("asked")));
    for (const vm of vms) {
      expect(vm.status()).toMatchObject({ healthy: true, problems: [] });
      expect(vm.talk()).toBe("exact");
      expect(vm.redirected()).toBeGreaterThan(150);
    }
    expect((await fleet.preview()).changes).toEqual({});
    expect((await fleet.destroy()).changes).toEqual(all("delete"));
    for (const vm of vms) expect(vm.traces()).toEqual([]);
  }, 3_000_000);
});
