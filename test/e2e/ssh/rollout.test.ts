// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { steps } from "../local/machine.js";
import { Far, isSkipped, makeKeys } from "./far.js";
import { Fleet } from "./fleet.js";

describe.skipIf(isSkipped)("a roll-out", () => {
  test("that fails at its canary's last step names it and logs in nowhere else; once repaired, it continues in order, and destroy runs in reverse", async () => {
    const keys = makeKeys();
    const fars: Record<string, Far> = {};
    for (const name of ["alpha", "beta", "canary"]) fars[name] = await new Far({ keys }).start();
    const { canary, ...others } = fars as { canary: Far; alpha: Far; beta: Far };
    const hosts = Object.fromEntries(
      Object.entries(fars).map(([name, far]) => [name, { connection: far.connection() }]),
    );
    const fleet = new Fleet({
      hosts,
      traffic: { everything: true },
      spliceGuard: "off",
      selfTest: { enabled: false },
      rollout: { canary: ["canary"], batchSize: 1 },
    });
    const broken = `case "$*" in *"cgroup attach"*) echo '{"error":"no room"}'; exit 255 ;; esac; exec /run/own/bpftool "$@"`;
    canary.run(
      "sh",
      "-c",
      'cp /usr/sbin/bpftool /run/own/bpftool; printf "#!/bin/sh\\n%s\\n" "$0" >/run/own/broken; chmod +x /run/own/broken; mount --bind /run/own/broken /usr/sbin/bpftool',
      broken,
    );
    const { said, changes } = await fleet.failure(fleet.up());
    expect(Object.keys(changes)).toEqual(steps.map((step) => `canary-${step}`));
    expect(said).toMatch(/edge-canary-attachment[\s\S]*no room/);
    for (const far of Object.values(others)) {
      expect(far.log()).not.toContain("Accepted");
      expect(far.traces()).toEqual([]);
    }

    canary.run("umount", "/usr/sbin/bpftool");
    const repaired = Object.keys((await fleet.up()).changes);
    const of = (host: string) => steps.map((step) => `${host}-${step}`);
    expect(repaired).toEqual(["canary-attachment", ...of("alpha"), ...of("beta")]);
    for (const far of Object.values(fars)) expect(far.status()).toMatchObject([{ healthy: true }]);

    const removed = Object.keys((await fleet.destroy()).changes);
    expect(removed).toHaveLength(3 * 8);
    const hostsInOrder = removed.map((name) => name.split("-")[0]);
    expect(hostsInOrder.filter((host, at) => host !== hostsInOrder[at - 1])).toEqual(["beta", "alpha", "canary"]);
    for (const far of Object.values(fars)) expect(far.traces()).toEqual([]);
  }, 180_000);
});
