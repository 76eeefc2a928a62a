// SPDX-License-Identifier: Apache-2.0
/*
 * Programs that trust FIONREAD, on kernels where it leaves out what came over TCP to an enrolled
 * socket (docs/explanation/limits.md). The tests overwrite what the host script found out about the
 * kernel, so that every kernel takes the same path.
 *
 * Not proven here: nginx itself (test/e2e/apps); what goes over TCP to a reader that is far behind.
 */
import { describe, expect, test, vi } from "vitest";
import { call, countsRedirected, slowness } from "../support/machine.js";
import { Datapath, expectCounters, expectEmpty, isSkipped, patient } from "./datapath.js";

const some = expect.toSatisfy((count: number) => count > 0, "more than 0");
const connections = 50;
const cpus = isSkipped ? 0 : Number(call("nproc"));
const isCounted = !isSkipped && countsRedirected();

const make = async (...flags: string[]) => {
  const path = await Datapath.make([...patient, ...flags]);
  path.setUnread(false);
  return path;
};

describe.skipIf(isSkipped)("where FIONREAD is wrong", () => {
  test("both ends of a connection to a listener that defers stay on TCP, whose FIONREAD is right", async () => {
    const path = await make();
    expect(await path.play("unread.deferred", connections)).toEqual({ server: connections, client: connections });
    await expectCounters(path, {
      ...{ pairs: 0, refused_deferred: connections, redirected_messages: 0, gone: connections },
      ...{ unpaired: 0, refused_other: 0 },
    });
    await expectEmpty(path);
  });

  test("connections to any other listener are enrolled, even if the client sends at once", async () => {
    const path = await make();
    await path.play("unread.early", 300);
    await expectCounters(path, { pairs: 300, refused_deferred: 0, redirected_messages: some });
  });
});

describe.skipIf(isSkipped || cpus < 2)("where FIONREAD is wrong, on two CPUs", () => {
  test("a connection whose client sends before its server's socket is enrolled stays on TCP", async () => {
    // Each passive end waits about a millisecond between taking the claim and publishing itself.
    const path = await make("-DPUBLISH_LOOPS=20000");
    expect(await path.play("unread.sent_before_enrolment", 50)).toEqual({ behind: 0 });
    await expectCounters(path, { refused_deferred: some });
    await expectEmpty(path);
  });
});

describe.skipIf(isSkipped || !isCounted || cpus < 2)(
  "where FIONREAD leaves out what came over TCP, on two CPUs",
  () => {
    test("a client waits for its server's socket while that is being enrolled", async () => {
      const path = await make("-DENROL_LOOPS=3000");
      expect(await path.play("unread.sent_before_enrolment", 200)).toEqual({ behind: 0 });
      await expectCounters(path, { pairs: some, redirected_messages: some });
      await expectEmpty(path);
    });

    test("a reader that registers for edges while its first message is checked gets that through the bypass", async () => {
      const path = await make("-DGUARD_ALWAYS", "-DCHECK_LOOPS=20000");
      expect(await path.play("unread.attended_late", 50)).toEqual({ behind: 0 });
      // The client is not edge-triggered, so the answer, its first message, goes over TCP.
      await expectCounters(path, { pairs: 50, redirected_messages: 50, tcp_messages: 50 });
    });
  },
);

describe.skipIf(isSkipped || !isCounted)("where FIONREAD leaves out what came over TCP", () => {
  test("an edge-triggered reader that trusts it gets its first bytes through the bypass, even with a splice guard", async () => {
    const path = await make("-DGUARD_ALWAYS");
    expect(await path.play("unread.believed", 20, 0)).toEqual({ behind: 0 });
    await expectCounters(path, { pairs: 1, redirected_messages: some, tcp_messages: 0 });
  });

  test.each([
    ["that blocks", "blocks"],
    ["by level-triggered epoll", "levels"],
  ])("any other reader gets its first message over TCP with a splice guard: one %s", async (_, kind) => {
    const path = await make("-DGUARD_ALWAYS");
    expect(await path.play("unread.believed", 20, 0, kind)).toEqual({ behind: 0 });
    await expectCounters(path, { pairs: 1, redirected_messages: 19, tcp_messages: 1 });
  });

  test("an edge-triggered reader that trusts it gets nothing over TCP after a pause, but any other reader does", async () => {
    const path = await make("-DREFRESH_JIFFIES=2");
    expect(await path.play("unread.believed", 20, 0.1)).toEqual({ behind: 0 });
    await expectCounters(path, { pairs: 1, redirected_messages: 20, tcp_messages: 0 });
    expect(await path.play("unread.believed", 20, 0.1, "blocks")).toEqual({ behind: 0 });
    await expectCounters(path, { pairs: 2, tcp_messages: some });
  });

  test("what goes over TCP in a drain may leave such a reader behind, a limit of kernels like that", async () => {
    const path = await Datapath.make(patient);
    const isRight = path.isUnreadRight();
    const readers = Array.from({ length: 8 }, () => path.start("unread.believed", 40, 0.1));
    await vi.waitFor(() => expect(path.counters().returns).toBe(readers.length), { timeout: 30_000 * slowness });
    path.setDrain();
    const behind = (await Promise.all(readers.map((reader) => reader.result()))).map((found) => found.behind);
    expect(behind).toEqual(isRight ? readers.map(() => 0) : expect.arrayContaining([1]));
    await expectCounters(path, { pairs: readers.length, redirected_messages: some, drained: some });
  });
});

describe.skipIf(isSkipped)("where FIONREAD is right", () => {
  test.skipIf(!isCounted)("connections to a listener that defers are enrolled", async () => {
    const path = await Datapath.make(patient);
    path.setUnread(true);
    await path.play("unread.deferred", connections); // FIONREAD's own answer is up to the kernel
    await expectCounters(path, { pairs: connections, refused_deferred: 0, redirected_messages: some });
  });

  test("the first message and one after a pause go over TCP with a splice guard", async () => {
    const path = await Datapath.make([...patient, "-DGUARD_ALWAYS", "-DREFRESH_JIFFIES=2"]);
    path.setUnread(true);
    await path.play("unread.believed", 20, 0.1, "blocks");
    await expectCounters(path, { pairs: 1, redirected_messages: some, tcp_messages: some });
  });
});

describe.skipIf(isSkipped)("the host script", () => {
  test("finds out about FIONREAD what the self-test measures", async () => {
    const path = await Datapath.make();
    const found = path.isUnreadRight();
    const { facts } = JSON.parse(await path.ok("selftest"));
    expect(["exact", "zero"]).toContain(facts.fionread_tcp);
    expect(found).toBe(facts.fionread_tcp === "exact");
  });
});
