// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { call, isGuest } from "../support/machine.js";
import { Datapath, expectCounters, expectEmpty, isSkipped, patient } from "./datapath.js";

const over = (least: number) => expect.toSatisfy((count: number) => count > least, `more than ${least}`);

/**
 * On a slow machine a reader may not be asleep yet when the next message comes, which then goes
 * over TCP.
 */
const allOf = (count: number) =>
  isGuest ? expect.toSatisfy((found: number) => found <= count && found > count * 0.95, `95 % of ${count}`) : count;

describe.skipIf(isSkipped)("which connections are redirected", () => {
  test.each([
    ["IPv4", "ipv4"],
    ["IPv6", "ipv6"],
    ["IPv4 to a dual-stack listener", "mapped"],
    ["IPv4-mapped IPv6", "mapped6"],
  ])("both directions are redirected: %s", async (_, kind) => {
    const path = await Datapath.make();
    await path.play("paths.family", kind);
    await expectCounters(path, { pairs: 1, redirected_messages: allOf(100), redirected_bytes: allOf(100_000) });
    await expectEmpty(path);
  });

  test("a connection between two network namespaces over veth is redirected", async () => {
    const path = await Datapath.make();
    await path.play("paths.veth");
    await expectCounters(path, { pairs: 1, redirected_messages: allOf(200), remote_skipped: 0 });
  });

  test("a connection to a backend behind a node that rewrites the service's address is redirected", async () => {
    const path = await Datapath.make();
    await path.play("paths.dnat");
    await expectCounters(path, { pairs: 1, redirected_messages: allOf(200) });
  });

  test("a connection through a node that rewrites the client's address stays plain TCP, and is counted", async () => {
    const path = await Datapath.make();
    await path.play("paths.snat");
    await expectCounters(path, { pairs: 0, redirected_messages: 0, remote_skipped: 2 });
    await expectEmpty(path);
  });

  test("a node that forgets silent connections after 5 s still knows one after 15 s in the bypass", async () => {
    // This is a second at 250 Hz, and 2.5 s at 100 Hz.
    const path = await Datapath.make(["-DREFRESH_JIFFIES=250", "-DQUEUE_BYTES=65536", ...patient]);
    await path.play("paths.forgetful");
    await expectCounters(path, { pairs: 1, redirected_messages: over(300), spills: over(10), returns: over(10) });
    await expectEmpty(path);
  });

  test("a connection that both ends open at once stays plain TCP, unless one of them is known to be on this host", async () => {
    const path = await Datapath.make();
    await path.play("paths.simultaneous");
    await expectCounters(path, { pairs: 0, redirected_messages: 0, tcp_messages: 0 });
    await path.play("paths.simultaneous", "noted");
    await expectCounters(path, { pairs: 2, redirected_messages: over(90) });
    await path.play("paths.with_itself");
    await expectEmpty(path);
  });

  test("a client whose server looks local but is not tracked waits, then leaves", async () => {
    const path = await Datapath.make();
    await path.play("paths.never_pairs");
    await expectCounters(path, { unpaired: 3, gone: 3, redirected_messages: 0, tcp_messages: 192 });
    await expectEmpty(path);
  });

  test.each(["server", "client"])("the peer of a %s that is not tracked is never enrolled", async (end) => {
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

  test("a policy selects connections by the port of the server or the client, and may change live", async () => {
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

  test("a policy selects connections by the addresses of both ends", async () => {
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
