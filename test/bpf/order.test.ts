// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { Datapath, expectCounters, expectEmpty, isSkipped, leaving, patient, switching, trusting } from "./datapath.js";

const some = expect.toSatisfy((count: number) => count > 0, "more than 0");

describe.skipIf(isSkipped)("order and wake-ups", () => {
  test.each([
    ["TCP_DEFER_ACCEPT gives MSG_WAITALL its first bytes over TCP and the rest either way", "deferred_waitall"],
    ["the same beside a thread that sends on the reader's socket wakes the reader", "waitall_beside_a_sender"],
    ["a server that speaks first is heard in order", "early_server"],
    ["a client that speaks before accept() is heard in order", "early_client"],
    ["TCP Fast Open delivers the bytes of the SYN first", "fast_open"],
    ["MSG_PEEK leaves everything in the queue", "peek"],
    ["poll and epoll, by level and by edge, wake their sleepers", "polling"],
  ])("%s", async (_, name) => {
    const path = await Datapath.make([...patient, ...trusting]);
    await path.play(`order.${name}`);
    await expectCounters(path, { pairs: some, redirected_messages: some, redirect_failed: 0 });
    await expectEmpty(path);
  });

  test("a reader that sleeps while its socket leaves gets the reply and no EAGAIN", async () => {
    const path = await Datapath.make(patient);
    const readers = path.start("order.leave_asleep");
    await readers.ready();
    // This is how a drain begins: a busy direction leaves on its own.
    path.setDrain();
    readers.go();
    await readers.result();
    await expectCounters(path, { pairs: 10, drained: some, gone: some });
    await expectEmpty(path);
  });

  test("TCP_NOTSENT_LOWAT of the application is kept, and ours is gone once the socket has left", async () => {
    const path = await Datapath.make();
    const lowat = path.start("order.lowat");
    await lowat.ready();
    const drained = path.drain();
    lowat.go();
    expect(await lowat.result()).toEqual({
      plain: 131071,
      kept: 4096,
      kept_server: 8192,
      left: 0,
      left_kept: 4096,
      left_kept_server: 8192,
      left_later: 5000,
    });
    await drained;
  });

  test.each([
    ["default thresholds", [], 4],
    ["thousands of switches", switching, 4],
    ["leaving in between", leaving, 4],
  ] as const)("several threads send records on one socket in both directions: %s", async (_, thresholds, senders) => {
    const path = await Datapath.make(thresholds);
    await path.play("crowd.several_senders", senders);
    await expectCounters(path, { pairs: 1, redirect_failed: 0 });
    await expectEmpty(path);
  });

  test.each([
    ["default thresholds", []],
    ["thousands of switches", switching],
  ] as const)(
    "several threads that read one socket get each byte once, and all wake at the end: %s",
    async (_, thresholds) => {
      const path = await Datapath.make(thresholds);
      const { spurious } = await path.play("crowd.several_readers");
      console.log(`blocking recv() of 4 readers that returned EAGAIN: ${spurious}`);
      await expectEmpty(path);
    },
  );
});
