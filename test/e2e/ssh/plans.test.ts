// SPDX-License-Identifier: Apache-2.0
import { join } from "node:path";
import { local } from "@pulumi/command";
import { describe, expect, test } from "vitest";
import { SocketBypass } from "../../../src/index.js";
import { each, steps } from "../local/machine.js";
import { Far, isSkipped, makeKeys } from "./far.js";
import { Fleet } from "./fleet.js";

const traffic = { everything: true };
const stepsOf = (...hosts: string[]) => hosts.flatMap((host) => steps.map((step) => `${host}-${step}`));

describe.skipIf(isSkipped).each([false, true])("over SSH, with detectDrift %s", (detectDrift) => {
  test("up does what its plan says for an install on an existing and on a newly created machine, no change, an update and another address", async () => {
    const keys = makeKeys();
    const fars = [await new Far({ keys }).start(), await new Far({ keys }).start(), await new Far({ keys }).start()];
    const [there, first, second] = fars as [Far, Far, Far];
    let address = first.address;
    let ports = ["1-65535"];
    const fleet = new Fleet({ hosts: {}, traffic }, async () => {
      const vm = new local.Command("vm", { create: `echo ${address}`, triggers: [address] });
      const hosts = {
        there: { connection: there.connection() },
        made: { connection: { ...first.connection(), host: vm.stdout, hostKey: keyOf(address) } },
      };
      new SocketBypass("edge", { hosts, traffic: { ports }, selfTest: { enabled: false }, detectDrift });
      return {};
    });
    const keyOf = (one: string) => `${(one === first.address ? first : second).connection().hostKey}`;
    const plan = join(fleet.folder, "plan.json");
    const follow = async () => {
      const planned = await fleet.preview({ plan });
      const done = await fleet.up({ plan });
      expect(done.changes).toEqual(planned.changes);
      return planned.changes;
    };
    expect(await follow()).toEqual({ vm: "create", ...each("create", stepsOf("there", "made")) });
    expect(await follow()).toEqual({});
    ports = ["1-1000"];
    expect(await follow()).toEqual(each("update", ["there-policy", "made-policy"]));
    address = second.address;
    const moved = await follow();
    expect(Object.keys(moved).sort()).toEqual(["vm", ...stepsOf("made")].sort());
    for (const ops of Object.values(moved)) expect(ops).toContain("replace");
    expect(first.traces()).toEqual([]);
    expect(second.status()).toMatchObject([{ healthy: true, problems: [] }]);
    expect((await fleet.preview()).changes).toEqual({});
    await fleet.destroy();
    for (const far of fars) expect(far.traces()).toEqual([]);
  }, 480_000);
});
