// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Datapath, expectCounters, isSkipped } from "./datapath.js";

const some = expect.toSatisfy((count: number) => count > 0, "more than 0");

// nginx, HAProxy, Netty and Tokio read like this.
describe.skipIf(isSkipped)("a reader by edge-triggered epoll that stops at a short read misses no turn to TCP", () => {
  test("when small messages run ahead of it until the direction leaves", async () => {
    const path = await Datapath.make();
    expect(await path.play("edge.late", 100, 1030, 1100, 1100, 1100, 300, 300)).toEqual({ behind: 0 });
    await expectCounters(path, { pairs: 1, leaves: some });
  });

  test("when one message goes by TCP now and then", async () => {
    const path = await Datapath.make(["-DLOOK_MESSAGES=4", "-DREFRESH_JIFFIES=2"]);
    expect(await path.play("edge.refreshed")).toEqual({ behind: 0 });
    await expectCounters(path, { pairs: 1, spills: some, returns: some });
  });

  test("when a drain begins in the middle of what it reads", async () => {
    const path = await Datapath.make();
    const edge = path.start("edge.drained");
    await edge.ready();
    // The first second of a drain, for as long as the case needs.
    const knobs = join(path.host.pins, path.host.generation, "maps/knobs");
    execFileSync("bpftool", `map update pinned ${knobs} key 0 0 0 0 value 2 0 0 0 0 0 0 0`.split(" "));
    edge.go();
    await edge.ready();
    await path.ok("drain", "--drain-seconds", "1");
    edge.go();
    expect(await edge.result()).toEqual({ behind: 0 });
    await expectCounters(path, { pairs: 1, drained: some, gone: some });
  });

  test("when it is far behind: its queue may be 16 times as long", async () => {
    const path = await Datapath.make();
    expect(await path.play("edge.late", 20000, 215, 1000)).toEqual({ behind: 0 });
    await expectCounters(path, { pairs: 1, tcp_messages: 0 });
  });

  test("a limit: but one that is still further behind waits for the next message", async () => {
    const path = await Datapath.make([], "--queue-bytes", "65536");
    const { behind } = await path.play("edge.late", 20000, 58);
    expect(behind).toBeGreaterThan(0);
  });
});
