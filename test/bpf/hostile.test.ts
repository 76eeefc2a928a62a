// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test, vi } from "vitest";
import { Datapath, expectCounters, expectEmpty, isSkipped, kernelMemory, patient, trusting } from "./datapath.js";

const over = (least: number) => expect.toSatisfy((count: number) => count > least, `more than ${least}`);

describe.skipIf(isSkipped)("many sockets, and hostile ones", () => {
  test("a connection whose claim is pushed out by claims that nobody takes goes over TCP and loses no byte", async () => {
    const path = await Datapath.make([...patient, ...trusting, "-DREFRESH_JIFFIES=1"], "--pending", "16");
    await path.play("hostile.evicted");
    const counters = path.counters();
    console.log(JSON.stringify(counters));
    expect(counters).toMatchObject({ pairs: over(0), unpaired: over(0) });
    await expectEmpty(path);
  });

  test("a socket in TCP_REPAIR is not enrolled, and a sequence number chosen by the client changes nothing", async () => {
    const path = await Datapath.make(patient);
    await path.play("hostile.repaired");
    await expectCounters(path, { refused_other: 1, pairs: 2, redirected_messages: 100 });
    await expectEmpty(path);
  });

  test("a socket that forged packets give the key of another one is refused, and no byte goes astray", async () => {
    const path = await Datapath.make([...patient, ...trusting]);
    await path.play("forger.same_key");
    await expectCounters(path, { pairs: 1, refused_full: 1, redirected_messages: over(90) });
    await expectEmpty(path);
  });

  test("no byte reaches the wrong reader when new sockets reuse the memory of closed ones", async () => {
    const path = await Datapath.make(patient);
    await path.play("hostile.used_again");
    await expectCounters(path, { pairs: 2400, redirected_messages: over(2400 * 4) });
    await expectEmpty(path);
  });

  test("clients that reset while another CPU enrols their server's socket leave nothing in `peers`", async () => {
    // Each passive end waits about a millisecond between taking the claim and publishing itself.
    const path = await Datapath.make([...patient, "-DPUBLISH_LOOPS=20000"]);
    path.caseSeconds = 60;
    await path.play("hostile.reset_at_once", 500);
    const { pairs = 0, unpaired = 0 } = path.counters();
    expect({ pairs, unpaired }).toMatchObject({ unpaired: over(100) });
    await expectEmpty(path);
  });

  test("10,000 connections at once all pair and redirect, leave in a drain, and give the kernel its memory back", async () => {
    const path = await Datapath.make(patient);
    const before = kernelMemory();
    const crowd = path.start("hostile.crowd", 10_000);
    expect(await crowd.ready()).toBe("open");
    expect(path.sockets()).toBe(20_000);
    const during = kernelMemory();
    await path.ok("drain", "--drain-seconds", "20");
    expect([path.sockets(), path.peers()]).toEqual([0, 0]);
    crowd.go();
    expect(await crowd.ready()).toBe("used");
    expect(path.counters()).toMatchObject({
      pairs: 10_000,
      redirected_messages: 20_000,
      refused_full: 0,
      tcp_messages: 0,
    });
    crowd.go();
    expect(await crowd.ready()).toBe("closed");
    crowd.go();
    await crowd.result();
    await expectEmpty(path);
    console.log(JSON.stringify([before, during, kernelMemory()]));
    // At least nine tenths of what 20,000 sockets and their psocks took must be free again: the
    // kernel keeps some, and other programs run.
    const most = before + (during - before) / 10 + (16 << 20);
    await vi.waitFor(() => expect(kernelMemory()).toBeLessThan(most), { timeout: 20_000, interval: 500 });
  });
});
