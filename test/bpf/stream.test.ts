// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { amount, slowness } from "../support/machine.js";
import { Datapath, expectCounters, expectEmpty, extraSeconds, isSkipped, leaving, switching } from "./datapath.js";

const over = (least: number) => expect.toSatisfy((count: number) => count > least, `more than ${least}`);

describe.skipIf(isSkipped)("20 connections, both directions at once, random sizes, hash-checked", () => {
  test("event loops lose nothing over 300 MB and hundreds of switches between redirect and TCP", async () => {
    const path = await Datapath.make(switching);
    const { bytes } = await play(path, 300, 60_000, 65_536, "loop");
    expect(bytes).toBeGreaterThan(amount(200_000_000));
    await expectCounters(path, {
      pairs: 20,
      spills: over(amount(100)),
      returns: over(amount(100)),
      leaves: 0,
      redirect_failed: 0,
    });
    await expectEmpty(path);
  });

  test("event loops with receive buffers of 16 KiB lose nothing", async () => {
    const path = await Datapath.make(switching);
    await play(path, 100, 40_000, 16384, "loop");
    await expectCounters(path, { pairs: 20, spills: over(amount(100)), returns: over(amount(100)) });
    await expectEmpty(path);
  });

  test("a thread for each direction loses nothing over 300 MB", async () => {
    const path = await Datapath.make(switching);
    const { bytes } = await play(path, 300, 100_000, 0, "threads");
    expect(bytes).toBeGreaterThan(amount(200_000_000));
    await expectCounters(path, { pairs: 20, spills: over(amount(10)), returns: over(amount(10)), redirect_failed: 0 });
    await expectEmpty(path);
  });

  test("requests and replies of random sizes arrive whole over thousands of switches", async () => {
    const path = await Datapath.make(switching);
    const requests = path.start("stream.request_reply", 20, 5);
    await requests.ready();
    requests.go();
    await requests.result();
    await expectCounters(path, {
      pairs: 20,
      spills: over(amount(2000)),
      returns: over(amount(2000)),
      leaves: 0,
      redirect_failed: 0,
    });
    await expectEmpty(path);
  });

  test("every direction leaves the map in the middle and loses nothing", async () => {
    const path = await Datapath.make(leaving);
    await play(path, 200, 60_000, 0, "threads");
    await expectCounters(path, { pairs: 20, leaves: over(amount(10)), gone: over(amount(10)), redirect_failed: 0 });
    await expectEmpty(path);
  });

  test("default thresholds lose nothing", async () => {
    const path = await Datapath.make();
    const { spurious } = await play(path, 300, 200_000, 0, "threads");
    console.log(`blocking recv() that returned EAGAIN: ${spurious}`);
    await expectCounters(path, { pairs: 20, redirected_bytes: over(amount(10_000_000)), redirect_failed: 0 });
    await expectEmpty(path);
  });
});

describe.skipIf(isSkipped)("drained under load", () => {
  test("sockets in full duplex leave, and no byte is lost or reordered", async () => {
    // With these no direction leaves on its own, however busy the machine is.
    const path = await Datapath.make(["-DSTRIKES=1000000000", "-DSPILL_BYTES=1000000000"]);
    // The streams run until they are told to stop.
    const streams = path.start("stream.duplex", 10, 1e9, 0, 100_000, 0);
    await streams.ready();
    streams.go();
    await new Promise((wake) => setTimeout(wake, 1500 * slowness));
    const before = path.sockets();
    await path.drain();
    expect([before, path.sockets()]).toEqual([20, 0]);
    expect(await streams.ready()).toBe("told");
    streams.go();
    await streams.result();
    await expectCounters(path, { pairs: 10, gone: over(0), drained: over(0) });
    await expectEmpty(path);
  });

  test("requests and replies arrive whole while the bypass is drained, resumed and drained again", async () => {
    const path = await Datapath.make();
    const streams = path.start("stream.request_reply", 10, 6);
    await streams.ready();
    streams.go();
    await new Promise((wake) => setTimeout(wake, 500 * slowness));
    await path.drain();
    expect(path.sockets()).toBe(0);
    await path.resume();
    await path.drain();
    expect(path.sockets()).toBe(0);
    await streams.result();
    await expectEmpty(path);
  });
});

/** Streams this many megabytes, or on a slow machine for a few seconds. */
async function play(path: Datapath, megabytes: number, largest: number, buffer: number, way: "loop" | "threads") {
  const [length, seconds] = extraSeconds ? [1e6, extraSeconds] : [amount(megabytes), 7];
  const streams = path.start("stream.duplex", 20, length, seconds, largest, buffer, way);
  await streams.ready();
  streams.go();
  return await streams.result();
}
