// SPDX-License-Identifier: Apache-2.0
import { local } from "@pulumi/command";
import { secret } from "@pulumi/pulumi";
import { describe, expect, test } from "vitest";
import { type Host, SocketBypass } from "../../../src/index.js";
import { each, steps } from "../local/machine.js";
import { Far, isSkipped, makeKeys } from "./far.js";
import { Fleet } from "./fleet.js";

// These do not prove a real reboot; the attachment is removed by hand.
describe.skipIf(isSkipped)("with detectDrift over SSH", () => {
  test("a preview says which step of which host drifted and which host does not answer, whose steps stay the same, and up repairs the step", async () => {
    const [keys, password] = [makeKeys("ed25519", "battery-staple"), "correct-horse"];
    const bastion = await new Far({ keys: makeKeys() }).start();
    const privateKeyPassword = "battery-staple";
    const fars = {
      inner: await new Far({ keys, behind: bastion, shell: "/usr/bin/fish" }).start(),
      ops: await new Far({ user: "ops", password, sudoers: "ops ALL=(root) NOPASSWD: ALL" }).start(),
    };
    const hosts: Record<string, Host> = {
      inner: { connection: fars.inner.connection({ privateKeyPassword, proxy: bastion.login() }) },
      ops: { connection: fars.ops.connection(), become: "sudo -n" },
    };
    const traffic = { everything: true };
    const fleet = new Fleet({ hosts, traffic, spliceGuard: "off", selfTest: { enabled: false }, detectDrift: true });
    await fleet.up();
    const calm = await fleet.preview();
    expect([calm.changes, calm.said]).toEqual([{}, expect.not.stringContaining("drift")]);

    for (const far of Object.values(fars)) detach(far);
    expect((await fleet.up()).changes).toEqual({ "inner-attachment": "update", "ops-attachment": "update" });
    detach(fars.inner);
    fars.ops.unplug();
    const silent = await fleet.preview();
    expect(silent.said).toMatch(/drift: .*expected to be attached to \S+, found nothing/);
    expect(silent.said).toContain("drift: not looked at, because the host does not answer within 10 s");
    // The epoch with which the attachment of ops was repaired is only in the state.
    expect(silent.changes).toEqual({ "inner-attachment": "update" });
    fleet.args = { ...fleet.args, traffic: { ports: ["1"] } };
    const changed = { "inner-attachment": "update", "inner-policy": "update", "ops-policy": "update" };
    expect((await fleet.preview()).changes).toEqual(changed);

    fleet.args = { ...fleet.args, traffic };
    expect((await fleet.up()).changes).toEqual({ "inner-attachment": "update" });
    expect(fars.inner.status()).toMatchObject([{ healthy: true, problems: [] }]);
    fars.ops.plug();
    const after = await fleet.preview();
    expect([after.changes, after.said]).toEqual([{}, expect.not.stringContaining("drift")]);
    expect(silent.said + after.said + fleet.stateFile()).not.toMatch(/correct-horse|battery-staple|198\.19\./);
    await fleet.destroy();
    for (const far of Object.values(fars)) expect(far.traces()).toEqual([]);
  }, 480_000);

  test("a host that the same up creates is not asked, and its preview is complete", async () => {
    const fleet = new Fleet({ hosts: {}, traffic: { everything: true } }, async () => {
      const vm = new local.Command("vm", { create: "echo 198.19.0.1" });
      const connection = { host: vm.stdout, password: secret("correct-horse"), hostKey: makeKeys().publicKey };
      new SocketBypass("edge", { hosts: { web: { connection } }, traffic: { everything: true }, detectDrift: true });
      return {};
    });
    const { changes, said } = await fleet.preview();
    expect(changes).toEqual({
      vm: "create",
      ...each(
        "create",
        steps.map((step) => `web-${step}`),
      ),
    });
    expect(said).toContain("drift: not looked at, because up will know this host first");
    expect(said).not.toMatch(/correct-horse|warning/);
  });
});

/** Detaches the program by hand; the pins stay. */
function detach(far: Far): void {
  const [found] = far.status();
  const track = `/sys/fs/bpf/socket-bypass/${found?.instance}/${found?.serving}/track`;
  const line =
    'bpftool cgroup detach "$(awk \'$3 == "cgroup2" { print $2; exit }\' /proc/mounts)" sock_ops pinned "$0"';
  far.run("sh", "-c", line, track);
}
