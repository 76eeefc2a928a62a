// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { isGuest } from "../support/machine.js";
import { Datapath, expectCounters, expectEmpty, isSkipped, patient } from "./datapath.js";

const over = (least: number) => expect.toSatisfy((count: number) => count > least, `more than ${least}`);

/**
 * Plays a case over plain TCP and over the bypass, with each connection enrolled, and compares the
 * results.
 */
async function compare(pairs: number, name: string, ...args: string[]): Promise<void> {
  const path = await Datapath.make(patient);
  const plain = await path.play(name, "plain", ...args);
  await expectCounters(path, { pairs: 0 });
  expect(await path.play(name, "enrolled", ...args)).toEqual(plain);
  await expectCounters(path, {
    pairs,
    redirected_messages: over(pairs),
    unpaired: 0,
    refused_busy: 0,
    refused_full: 0,
    refused_other: 0,
    refused_options: 0,
    refused_deferred: 0,
  });
  await expectEmpty(path);
}

describe.skipIf(isSkipped)("a socket that ends its connection by connect(AF_UNSPEC) and is used again", () => {
  test.each([
    ["another server", "another", "disconnect"],
    ["the same server", "same", "disconnect"],
    ["another server, without telling the old one,", "another", "vanish"],
  ])("to connect to %s gets the bytes of that connection only", async (_, target, end) => {
    await compare(2, "reuse.unread", target, end);
  });

  test.each([
    ["is told by a reset", "disconnect"],
    ["is not told", "vanish"],
  ])("is out of reach of its old server, which %s", async (_, end) => {
    await compare(2, "reuse.injected", end);
  });

  test("as a listener has its connections enrolled", async () => {
    await compare(4, "reuse.listens");
  });

  test("leaves its server's socket what is unread, and that one can be used again too", async () => {
    await compare(3, "reuse.server_side");
  });

  test("after a reset by its server may read that server's bytes first", async () => {
    await compare(4, "reuse.reset_first");
  });

  test("while another thread sleeps in recv behaves as over plain TCP", async () => {
    await compare(2, "reuse.asleep");
  });

  test("200 times, while its old servers go on sending, gets none of their bytes", async () => {
    await compare(200, "reuse.many");
  });

  test("with 4 MiB unread from the bypass and more over TCP gets none of it", async () => {
    await compare(2, "reuse.queue_full");
  });

  test("before anybody took its claim leaves nothing behind, and its next connection pairs", async () => {
    const path = await Datapath.make(patient);
    await path.play("reuse.unclaimed");
    // Five more connections leave the notes.
    await expectCounters(path, { pairs: 6, unpaired: 0, redirected_messages: 40 });
    await expectEmpty(path);
  });

  test("while a drain makes both ends leave pairs again after the drain", async () => {
    const path = await Datapath.make(patient);
    const steps = path.start("reuse.step_by_step");
    await steps.ready();
    path.setDrain();
    steps.go();
    await steps.ready();
    expect(path.sockets()).toBe(0);
    await path.resume();
    steps.go();
    await steps.ready();
    expect(path.counters()).toMatchObject({ pairs: 2, drained: 2, refused_other: 0 });
    steps.go();
    await steps.result();
    await expectEmpty(path);
  });
});

describe.skipIf(isSkipped)("a connection that ends in order", () => {
  test("leaves the unread bytes to their reader, whichever end closes first", async () => {
    await compare(2, "reuse.orderly");
  });

  test("takes nothing more after a shutdown, and the other direction goes on", async () => {
    await compare(1, "reuse.half");
  });
});

describe.skipIf(isSkipped)("an enrolled socket", () => {
  // A kernel without bpf_rdonly_cast() (before 6.2) has the reader checked less often, so some
  // messages are redirected.
  test.skipIf(isGuest)("in TCP_REPAIR is sent nothing through the bypass", async () => {
    const path = await Datapath.make(patient);
    await path.play("reuse.dumped", "enrolled");
    await expectCounters(path, { pairs: 1, redirected_messages: 40, tcp_messages: 50 });
    await expectEmpty(path);
  });

  test("behind a NAT helper that lengthens a message gets nothing before the unread rest of it", async () => {
    const path = await Datapath.make([...patient, "-DREFRESH_JIFFIES=1"]);
    await path.play("paths.lengthened");
    await expectCounters(path, { pairs: 1, redirected_messages: over(0), tcp_messages: over(1) });
    await expectEmpty(path);
  });

  // Not proven here: that the kernel takes such a socket over, which no kernel here can do.
  test.each([
    ["everything", ["--everything"], [0, 0, 1]],
    ["a range", ["--ports", "1-65535"], [0, 0, 1]],
    ["a range and one by itself", ["--ports", "1-65535,3260"], [1, 0, 1]],
  ])(
    "on a port whose sockets the kernel takes over (3260, 2049, unlike 2050) is bypassed only if named: %s",
    async (_, flags, pairs) => {
      const path = await Datapath.make(patient, "--splice-guard", "off");
      await path.ok("policy set", ...flags);
      const found: (number | undefined)[] = [];
      for (const port of [3260, 2049, 2050]) {
        const before = path.counters().pairs ?? 0;
        await path.play("reuse.at_port", port);
        found.push((path.counters().pairs ?? 0) - before);
      }
      expect(found).toEqual(pairs);
      await expectEmpty(path);
    },
  );
});
