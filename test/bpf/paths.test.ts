// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { call, isGuest } from "../support/machine.js";
import { Datapath, expectCounters, expectEmpty, isSkipped, patient } from "./datapath.js";

const over = (least: number) => expect.toSatisfy((count: number) => count > least, `more than ${least}`);

/**
 * On a slow machine a reader may still be on its way to sleep when the next message comes, which
 * then goes by TCP.
 */
const allOf = (count: number) =>
  isGuest ? expect.toSatisfy((found: number) => found <= count && found > count * 0.95, `95 % of ${count}`) : count;

describe.skipIf(isSkipped)("which connections are redirected", () => {
  test.each([
    ["IPv4", "ipv4"],
    ["IPv6", "ipv6"],
    ["IPv4 to a dual-stack listener", "mapped"],
    ["IPv4-mapped IPv6", "mapped6"],
  ])("%s: both directions", async (_, kind) => {
    const path = await Datapath.make();
    await path.play("paths.family", kind);
    await expectCounters(path, { pairs: 1, redirected_messages: allOf(100), redirected_bytes: allOf(100_000) });
    await expectEmpty(path);
  });

  test("two network namespaces over veth", async () => {
    const path = await Datapath.make();
    await path.play("paths.veth");
    await expectCounters(path, { pairs: 1, redirected_messages: allOf(200), remote_skipped: 0 });
  });

  test("a client and a backend behind a node that rewrites the service's address", async () => {
    const path = await Datapath.make();
    await path.play("paths.dnat");
    await expectCounters(path, { pairs: 1, redirected_messages: allOf(200) });
  });

  test("a node that rewrites the client's address hides that it is of this host: plain TCP, counted", async () => {
    const path = await Datapath.make();
    await path.play("paths.snat");
    await expectCounters(path, { pairs: 0, redirected_messages: 0, remote_skipped: 2 });
    await expectEmpty(path);
  });

  test("a node that forgets silent connections after 5 s still knows one after 15 s of bypass", async () => {
    // A second at 250 Hz, 2.5 s at 100 Hz.
    const path = await Datapath.make(["-DREFRESH_JIFFIES=250", "-DQUEUE_BYTES=65536", ...patient]);
    await path.play("paths.forgetful");
    await expectCounters(path, { pairs: 1, redirected_messages: over(300), spills: over(10), returns: over(10) });
    await expectEmpty(path);
  });

  test("both ends connect at once: plain TCP, unless one of them is known to be of this host", async () => {
    const path = await Datapath.make();
    await path.play("paths.simultaneous");
    await expectCounters(path, { pairs: 0, redirected_messages: 0, tcp_messages: 0 });
    await path.play("paths.simultaneous", "noted");
    await expectCounters(path, { pairs: 2, redirected_messages: over(90) });
    await path.play("paths.with_itself");
    await expectEmpty(path);
  });

  test("a client whose server is not tracked although it looks like one of this host waits, then leaves", async () => {
    const path = await Datapath.make();
    await path.play("paths.never_pairs");
    await expectCounters(path, { unpaired: 3, gone: 3, redirected_messages: 0, tcp_messages: 192 });
    await expectEmpty(path);
  });

  test.each(["server", "client"])("not with a %s that is not tracked: its peer is never enrolled", async (end) => {
    const path = await Datapath.make();
    await path.play("paths.veth", end);
    await expectCounters(path, { pairs: 0, redirected_messages: 0, tcp_messages: 0, remote_skipped: 1 });
    expect(path.claims()).toBe(0);
  });

  test("MPTCP subflows are left alone", async (context) => {
    const isThere = () => call("cat", "/proc/sys/net/mptcp/enabled").trim() === "1";
    if (!isOk(isThere)) return context.skip("this kernel has no MPTCP");
    const path = await Datapath.make();
    await path.play("paths.mptcp");
    await expectCounters(path, { pairs: 0, redirected_messages: 0 });
  });

  test("by the server's port, by the client's port, and by a policy that changes live", async () => {
    const path = await Datapath.make([], "--ports", "17001-17002,18000");
    const ports = path.start("paths.ports", 17002, 17003);
    await ports.ready();
    await expectCounters(path, { pairs: 1, policy_skipped: 0 });
    ports.go();
    await ports.ready();
    await expectCounters(path, { pairs: 1, policy_skipped: 2 });
    ports.go();
    await ports.result();
    await path.play("paths.source", 18000);
    await expectCounters(path, { pairs: 2, policy_skipped: 2 });
    await path.ok("policy set", "--ports", "17003");
    await path.play("paths.source", 18000);
    await expectCounters(path, { pairs: 2, policy_skipped: 4 });
  });

  test("by the addresses of both ends", async () => {
    const path = await Datapath.make([], "--cidrs", "127.1.0.0/16,127.2.0.1/32");
    await path.play("paths.addresses", "127.1.9.9", "127.2.0.1");
    await expectCounters(path, { pairs: 1, policy_skipped: 0 });
    await path.play("paths.addresses", "127.1.9.9", "127.2.0.2");
    await path.play("paths.addresses", "127.0.0.1", "127.1.0.1");
    await expectCounters(path, { pairs: 1, policy_skipped: 4 });
  });
});

function isOk(test: () => boolean): boolean {
  try {
    return test();
  } catch {
    return false;
  }
}
