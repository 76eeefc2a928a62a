// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { Datapath, expectCounters, expectEmpty, extraSeconds, isSkipped, leaving, switching } from "./datapath.js";

const over = (least: number) => expect.toSatisfy((count: number) => count > least, `more than ${least}`);

describe.skipIf(isSkipped)("20 connections, both directions at once, random sizes, hash-checked", () => {
  test("300 MB and thousands of switches between redirect and TCP", async () => {
    const path = await Datapath.make(switching);
    const { bytes } = await play(path, 20, 300, 100_000, 0);
    expect(bytes).toBeGreaterThan(200_000_000);
    await expectCounters(path, { pairs: 20, spills: over(10), returns: over(10), leaves: 0, redirect_failed: 0 });
    await expectEmpty(path);
  });

  test("with receive buffers of 16 KiB", async () => {
    const path = await Datapath.make(switching);
    await play(path, 20, 100, 40_000, 16384);
    await expectCounters(path, { pairs: 20, spills: over(10), returns: over(10) });
    await expectEmpty(path);
  });

  test("every direction leaves the map in the middle", async () => {
    const path = await Datapath.make(leaving);
    await play(path, 20, 200, 60_000, 0);
    await expectCounters(path, { pairs: 20, leaves: over(10), gone: over(10), redirect_failed: 0 });
    await expectEmpty(path);
  });

  test("default thresholds", async () => {
    const path = await Datapath.make();
    await play(path, 20, 300, 200_000, 0);
    await expectCounters(path, { pairs: 20, redirected_bytes: over(10_000_000), redirect_failed: 0 });
    await expectEmpty(path);
  });
});

describe.skipIf(isSkipped)("drained under load", () => {
  test("full duplex: every socket leaves, no byte is lost or reordered", async () => {
    const path = await Datapath.make();
    const streams = path.start("stream.duplex", 10, 4000, 4, 100_000, 0);
    await streams.ready();
    streams.go();
    await new Promise((wake) => setTimeout(wake, 1500));
    const before = path.sockets();
    await path.drain();
    expect([before, path.sockets()]).toEqual([20, 0]);
    await streams.result();
    await expectCounters(path, { pairs: 10, gone: over(0), drained: over(0) });
    await expectEmpty(path);
  });

  test("requests and replies, drained and resumed again and again", async () => {
    const path = await Datapath.make();
    const streams = path.start("stream.request_reply", 10, 6);
    await streams.ready();
    streams.go();
    await new Promise((wake) => setTimeout(wake, 500));
    await path.drain();
    expect(path.sockets()).toBe(0);
    await path.ok("resume");
    await path.drain();
    expect(path.sockets()).toBe(0);
    await streams.result();
    await expectEmpty(path);
  });
});

/** Ends by length, or by time on a slow machine. */
async function play(path: Datapath, connections: number, megabytes: number, largest: number, buffer: number) {
  const seconds = extraSeconds || 7;
  const streams = path.start("stream.duplex", connections, extraSeconds ? 1e6 : megabytes, seconds, largest, buffer);
  await streams.ready();
  streams.go();
  return await streams.result();
}
