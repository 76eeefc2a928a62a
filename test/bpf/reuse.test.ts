// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { Datapath, expectCounters, expectEmpty, isSkipped, patient } from "./datapath.js";

const over = (least: number) => expect.toSatisfy((count: number) => count > least, `more than ${least}`);

/** The same twice: over plain TCP, and enrolled, each connection of it. */
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
  });
  await expectEmpty(path);
}

describe.skipIf(isSkipped)("a socket that ends its connection by connect(AF_UNSPEC) and goes on", () => {
  test.each([
    ["another server", "another", "disconnect"],
    ["the same server", "same", "disconnect"],
    ["another server, the old one not told", "another", "vanish"],
  ])("to %s: gets the bytes of that connection only", async (_, target, end) => {
    await compare(2, "reuse.unread", target, end);
  });

  test.each([
    ["is told by a reset", "disconnect"],
    ["is not told", "vanish"],
  ])("is out of reach of its old server, which %s", async (_, end) => {
    await compare(2, "reuse.injected", end);
  });

  test("as a listener, whose connections are enrolled", async () => {
    await compare(4, "reuse.listens");
  });

  test("and the socket of its server reads what there is, and goes on too", async () => {
    await compare(3, "reuse.server_side");
  });

  test("after a reset by its server, whose bytes it may read before", async () => {
    await compare(4, "reuse.reset_first");
  });

  test("with another thread asleep in recv", async () => {
    await compare(2, "reuse.asleep");
  });

  test("200 times, while its old servers go on sending", async () => {
    await compare(200, "reuse.many");
  });

  test("with 4 MiB of the bypass unread, and TCP behind it", async () => {
    await compare(2, "reuse.queue_full");
  });

  test("before anybody took its claim: nothing of that stays, and the next one pairs", async () => {
    const path = await Datapath.make(patient);
    await path.play("reuse.unclaimed");
    // Five more leave the notes.
    await expectCounters(path, { pairs: 6, unpaired: 0, redirected_messages: 40 });
    await expectEmpty(path);
  });

  test("while a drain has both ends on their way out; after it the next one pairs", async () => {
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
  test("leaves what is unread to its reader, whichever end is the first", async () => {
    await compare(2, "reuse.orderly");
  });

  test("takes nothing more after shutdown, and the other direction goes on", async () => {
    await compare(1, "reuse.half");
  });
});
