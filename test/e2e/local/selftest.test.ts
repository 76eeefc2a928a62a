// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { attachments, isSkipped, Machine } from "./machine.js";

// Imitates a kernel that redirects nothing: the self-test's cgroup gets no program. The production
// cgroup is not affected.
const idleKernel = `case "$*" in *"cgroup attach"*socket-bypass-selftest-*) exit 0 ;; esac\nexec /usr/sbin/bpftool "$@"`;

describe.skipIf(isSkipped)("a self-test that fails", () => {
  test("leaves the old generation serving and says why, and the next up succeeds", async () => {
    const machine = new Machine();
    machine.args = { ...machine.args, selfTest: { enabled: true } };
    await machine.up();
    const before = machine.generation();
    const traffic = await machine.startTraffic();
    machine.writeTool("bpftool", idleKernel);
    machine.args = { ...machine.args, limits: { sockets: 1024 } };
    expect(await machine.failure(machine.up())).toContain(
      `selftest: expected redirected messages, found 0 in 0 pairs; nothing was attached to`,
    );
    expect(machine.generation()).toBe(before);
    expect(attachments(machine.cgroupFolder())).toEqual(["track_sockets"]);
    expect(await traffic.ask(`open ${traffic.ports[0]}`)).toBe("exact");
    expect(machine.counter("pairs")).toBe(1);

    machine.removeTool("bpftool");
    await machine.up();
    expect(machine.status()).toMatchObject({ healthy: true });
    expect(machine.generation()).not.toBe(before);
    expect(await traffic.ask("again")).toBe("1 exact");
  });

  test("on a fresh machine attaches nothing, and destroy removes what there is", async () => {
    const machine = new Machine();
    machine.args = { ...machine.args, selfTest: { enabled: true } };
    machine.writeTool("bpftool", idleKernel);
    expect(await machine.failure(machine.up())).toContain("selftest: expected redirected messages");
    expect(attachments(machine.cgroupFolder())).toEqual([]);
    expect((await machine.destroy()).changes).not.toHaveProperty("attachment");
    expect(machine.traces()).toEqual([]);
  });
});
