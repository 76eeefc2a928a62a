// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Datapath, expectCounters, isSkipped, trusting } from "./datapath.js";

const some = expect.toSatisfy((count: number) => count > 0, "more than 0");

// nginx, HAProxy, Netty and Tokio read in this way.
describe.skipIf(isSkipped)(
  "a reader by edge-triggered epoll that stops at a short read misses no bytes sent over TCP",
  () => {
    test("when small messages run ahead of it until the direction leaves", async () => {
      const path = await Datapath.make(trusting);
      expect(await path.play("edge.late", 100, 1030, 1100, 1100, 1100, 300, 300)).toEqual({ behind: 0 });
      await expectCounters(path, { pairs: 1, leaves: some });
    });

    test("when small messages run ahead of it: they stay in the bypass where FIONREAD would not tell of TCP bytes", async () => {
      const path = await Datapath.make();
      const { facts } = JSON.parse(await path.ok("selftest"));
      expect(await path.play("edge.late", 100, 1030, 1100, 1100, 1100, 300, 300)).toEqual({ behind: 0 });
      await expectCounters(path, { pairs: 1, leaves: facts.fionread_tcp === "zero" ? 0 : some });
    });

    test("when it waits by a poll of io_uring that stays armed", async () => {
      const path = await Datapath.make(trusting);
      expect(await path.play("edge.late_by_ring", 100, 1030, 1100, 1100, 1100, 300, 300)).toEqual({ behind: 0 });
      await expectCounters(path, { pairs: 1, leaves: some });
    });

    test("when a message goes over TCP now and then", async () => {
      const path = await Datapath.make(["-DLOOK_MESSAGES=4", "-DREFRESH_JIFFIES=2", ...trusting]);
      expect(await path.play("edge.refreshed")).toEqual({ behind: 0 });
      await expectCounters(path, { pairs: 1, spills: some, returns: some });
    });

    test("when a drain begins while it reads", async () => {
      const path = await Datapath.make();
      const edge = path.start("edge.drained");
      await edge.ready();
      const knobs = join(path.host.pins, path.host.generation, "maps/knobs");
      const set = (drain: number) =>
        execFileSync("bpftool", `map update pinned ${knobs} key 0 0 0 0 value ${drain} 0 0 0 0 0 0 0`.split(" "));
      // These are the two phases of a drain, each for as long as the case needs.
      set(2);
      edge.go();
      await edge.ready();
      set(1);
      edge.go();
      expect(await edge.result()).toEqual({ behind: 0 });
      await expectCounters(path, { pairs: 1, drained: some, gone: some });
    });

    test("when it is far behind: its queue may be 16 times as long", async () => {
      const path = await Datapath.make();
      expect(await path.play("edge.late", 20000, 215, 1000)).toEqual({ behind: 0 });
      await expectCounters(path, { pairs: 1, tcp_messages: 0 });
    });

    test("unless it is even further behind: a limit, at which it waits for the next message", async () => {
      const path = await Datapath.make([], "--queue-bytes", "65536");
      // That happens only if what went over TCP fits into one packet. A second packet is refused,
      // and wakes the reader when it is retransmitted.
      const found: (number | undefined)[] = [];
      for (const count of [52, 53, 54, 55, 56]) found.push((await path.play("edge.late", 20000, count)).behind);
      expect(found).toContainEqual(expect.toSatisfy((behind: number) => behind > 0, "more than 0"));
    });
  },
);
