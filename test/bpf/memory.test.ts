// SPDX-License-Identifier: Apache-2.0
/*
 * Not proven here: a limit of cgroup v2 (memory.max) on a host that has the memory controller in
 * v1; the program reads the same counters of the kernel for both.
 */
import * as fs from "node:fs";
import * as os from "node:os";
import { dirname, join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { Datapath, expectCounters, expectEmpty, isSkipped, patient } from "./datapath.js";

const over = (least: number) => expect.toSatisfy((count: number) => count > least, `more than ${least}`);

const v1 = "/sys/fs/cgroup/memory/memory.kmem.tcp.limit_in_bytes";
const hostMemory = "/proc/sys/net/ipv4/tcp_mem";
const read = (file: string) => fs.readFileSync(file, "utf8").trim();

const restore: (() => void)[] = [];
afterEach(() => {
  for (const undo of restore.splice(0)) undo();
});

describe.skipIf(isSkipped)("readers that stop while memory is short", () => {
  test("100 of them under a limit of 64 MiB fail no send(), and get all bytes once they read again", async (context) => {
    if (!fs.existsSync(v1)) return context.skip("the memory controller is not that of cgroup v1");
    const path = await Datapath.make(patient);
    const folder = limitedMemory(path, 64 << 20);
    const stalled = path.start("memory.stalled", folder, 100);
    await stalled.ready();
    const unread = path.flows().reduce((sum, flow) => sum + flow.unread, 0);
    stalled.go();
    expect(await stalled.result()).toEqual({ stopped: over(48 << 20), errors: [] });
    expect(unread).toBeGreaterThan(32 << 20);
    expect(unread).toBeLessThan(64 << 20);
    expect(read(join(folder, "memory.kmem.tcp.failcnt"))).toBe("0");
    expect(read(join(folder, "memory.oom_control"))).toMatch(/^oom_kill 0$/m);
    await expectCounters(path, { pairs: 100, redirected_bytes: over(32 << 20), redirect_failed: 0 });
    await expectEmpty(path);
  });

  test("one that has not accepted 3 clients, under a limit of 32 MiB, has little more waiting than over plain TCP, and accept() charges it", async (context) => {
    if (!fs.existsSync(v1)) return context.skip("the memory controller is not that of cgroup v1");
    const path = await Datapath.make(patient);
    const folder = limitedMemory(path, 32 << 20);
    const enrolled = await path.play("memory.charged_late", folder);
    await expectCounters(path, { pairs: 3, redirected_messages: over(3), redirect_failed: 0 });
    await path.drain();
    const plain = await path.play("memory.charged_late", folder);
    const mebibytes = (bytes: number | undefined) => Math.round((bytes ?? 0) / (1 << 20));
    console.log(
      "MiB sent, charged before and after accept():",
      [enrolled, plain].map((one) => [one.stopped, one.before, one.after].map(mebibytes)),
    );
    expect([enrolled.errors, plain.errors, enrolled.before]).toEqual([[], [], 0]);
    // What may wait for each reader beyond plain TCP's is at most 4 MiB, with the kernel's
    // overhead.
    expect(enrolled.stopped).toBeLessThan((plain.stopped ?? 0) + 3 * (4 << 20));
    expect(enrolled.after).toBeLessThan(32 << 20);
    expect(read(join(folder, "memory.kmem.tcp.failcnt"))).toBe("0");
  });

  test("one whose host is short of TCP memory has a queue that stops growing, and everything goes on over TCP", async () => {
    const path = await Datapath.make([...patient, "-DQUEUE_BYTES=(64<<20)"]);
    const pressed = path.start("memory.pressed");
    await pressed.ready();
    const usual = read(hostMemory);
    restore.push(() => fs.writeFileSync(hostMemory, usual));
    fs.writeFileSync(hostMemory, `1 1 ${usual.split(/\s+/)[2]}`);
    pressed.go();
    await pressed.ready();
    const unread = Math.max(...path.flows().map((flow) => flow.unread));
    for (const undo of restore.splice(0)) undo();
    pressed.go();
    expect(await pressed.result()).toEqual({ errors: [] });
    // Each CPU may hold 1 MiB that the host's count does not show (SK_MEMORY_PCPU_RESERVE in
    // include/net/sock.h).
    expect(unread).toBeLessThan((1 + os.cpus().length) << 20);
    await expectCounters(path, { pairs: 1, spills: over(0), redirect_failed: 0 });
    await expectEmpty(path);
  });
});

function limitedMemory(path: Datapath, bytes: number): string {
  const folder = join(dirname(v1), path.host.instance);
  fs.mkdirSync(folder);
  restore.push(() => fs.rmdirSync(folder));
  fs.writeFileSync(join(folder, "memory.kmem.tcp.limit_in_bytes"), String(bytes));
  return folder;
}
