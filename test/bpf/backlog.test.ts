// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { amount } from "../support/machine.js";
import { Datapath, expectCounters, expectEmpty, isSkipped, patient, switching } from "./datapath.js";

/**
 * Gives the bytes in the longer queue. If the kernel does not count them, gives what was
 * redirected, without the 10 KB of the first exchange.
 */
function countUnread(path: Datapath): number {
  const flows = path.flows();
  expect(flows).toHaveLength(2);
  const counted = Math.max(...flows.map((flow) => flow.unread));
  return counted < 0 ? (path.counters().redirected_bytes ?? 0) - 10_000 : counted;
}

const some = expect.toSatisfy((count: number) => count > 0, "more than 0");

describe.skipIf(isSkipped)("a reader that lags", () => {
  test.each([
    ["the default limit of 4 MiB", [], 4 << 20],
    ["a limit of 64 KiB", switching, 65536],
  ] as const)(
    "a reader that never reads: its queue stays under %s, and its close ends the sender",
    async (_, thresholds, limit) => {
      const path = await Datapath.make(thresholds);
      const stalled = path.start("backlog.never_reads");
      await stalled.ready();
      const unread = countUnread(path);
      stalled.go();
      const { sent } = await stalled.result();
      // The sender checks the queue once in 64 KiB or once a message.
      expect(unread).toBeLessThanOrEqual(Math.max(limit, 65536) + 65536 + 60_000);
      expect(unread).toBeGreaterThan(limit / 2);
      expect(sent).toBeGreaterThan(limit / 2);
      await expectEmpty(path);
    },
  );

  test("no more waits before accept() than for a reader that never reads, and after it everything arrives", async () => {
    const path = await Datapath.make(patient);
    const late = path.start("backlog.accepted_late");
    await late.ready();
    expect(path.counters().redirected_bytes).toBeLessThanOrEqual(4 << 20);
    late.go();
    expect(await late.result()).toEqual({ sent: some });
    await expectCounters(path, { redirected_bytes: some, redirect_failed: 0 });
    await expectEmpty(path);
  });

  // Not proven here: readers by edge-triggered epoll, for which more may wait
  // (docs/explanation/limits.md); streams of small messages, some of which TCP may drop because of
  // their overhead in memory, and then retransmits at once.
  test.each([
    ["plain TCP", "plain", 0, 8_000],
    ["a receive buffer of 64 KiB and messages of 50 KB", "enrolled", 65536, 50_000],
    ["a receive buffer of 64 KiB and messages of 400 KB", "enrolled", 65536, 400_000],
    ["a receive buffer that grows", "enrolled", 0, 8_000],
  ] as const)(
    "the queue of a reader that pauses leaves room for what TCP's window allows: %s",
    async (_, way, buffer, size) => {
      const path = await Datapath.make(patient);
      expect(await path.play("backlog.paused", way, buffer, size)).toEqual({ dropped: 0 });
      await expectEmpty(path);
    },
  );

  // Not proven here: how soon the bytes come after that. Linux before 6.15 has no such option, and
  // all three values are 0.
  test("TCP probes an edge-triggered reader that has no room at least once a second, and everything arrives", async () => {
    const path = await Datapath.make(patient, "--queue-bytes", "100000");
    const { before, meanwhile, afterwards } = await path.play("backlog.paused_edges");
    expect(meanwhile).toBe(Math.min(before ?? 0, 1000));
    expect(afterwards).toBe(before);
    await expectCounters(path, { pairs: 1, redirected_messages: some, redirect_failed: 0 });
    await expectEmpty(path);
  });

  test("--queue-bytes moves the limit", async () => {
    const path = await Datapath.make([], "--queue-bytes", "1000000");
    const stalled = path.start("backlog.never_reads");
    await stalled.ready();
    const unread = countUnread(path);
    stalled.go();
    await stalled.result();
    expect(unread).toBeGreaterThan(800_000);
    expect(unread).toBeLessThan(1_200_000);
  });

  test.each([
    ["default thresholds", [], 0],
    ["thousands of switches", switching, 0],
    ["a receive buffer of 8 KiB", switching, 8192],
  ] as const)("a slow reader gets every byte in order: %s", async (_, thresholds, buffer) => {
    const path = await Datapath.make(thresholds);
    const slow = path.start("backlog.slow_reader", amount(20_000_000), buffer);
    await slow.ready();
    slow.go();
    await slow.result();
    await expectCounters(path, { pairs: 1, redirect_failed: 0 });
    await expectEmpty(path);
  });

  test("a direction that sends more over TCP than through the bypass leaves the map", async () => {
    const path = await Datapath.make([...switching.slice(0, 3), "-DSPILL_MESSAGES=20", "-DSTRIKES=1000000000"]);
    // A slow machine sends the full amount too: a tenth of it would hardly be 20 messages.
    const slow = path.start("backlog.slow_reader", 20_000_000, 0);
    await slow.ready();
    slow.go();
    await slow.result();
    await expectCounters(path, { pairs: 1, spills: some, leaves: some, gone: some, redirect_failed: 0 });
    await expectEmpty(path);
  });
});

describe.skipIf(isSkipped)("the end of a connection", () => {
  test.each([
    ["a reply of 1 MiB that is read late arrives whole over a half-closed connection", "half_close", []],
    ["the last message before a close() arrives before the end of the stream", "close_at_once", []],
    ["close() with unread bytes ends the connection for the other side", "close_unread", []],
    ["a reset wakes a blocked reader with ECONNRESET", "reset", []],
    ["SIGKILL of the server under load leaves its peer a prefix and an end", "killed", ["server"]],
    ["SIGKILL of the client under load leaves its peer a prefix and an end", "killed", ["client"]],
    ["a socket that parent and child share loses nothing", "forked", []],
    ["a listener that is handed over to another process loses nothing", "hand_over", []],
  ])("%s", async (_, name, args) => {
    const path = await Datapath.make(patient);
    await path.play(`backlog.${name}`, ...args);
    await expectCounters(path, { redirected_messages: some });
    await expectEmpty(path);
  });
});
