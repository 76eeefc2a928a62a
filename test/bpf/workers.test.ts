// SPDX-License-Identifier: Apache-2.0
/*
 * Not proven here: a worker that gets no CPU for more than a second between two instructions of the
 * kernel (SETTLE_US), and workers of io_uring that read one registered file at the same time.
 */
import { describe, expect, test } from "vitest";
import { Datapath, expectCounters, expectEmpty, isSkipped, patient, trusting } from "./datapath.js";

const some = expect.toSatisfy((count: number) => count > 0, "more than 0");

describe.skipIf(isSkipped)("two workers that block in recv() on one socket", () => {
  test.each(["by_threads", "by_processes"])(
    "%s: the second gets the second job, although it waited for the lock while the first took the last byte over TCP",
    async (how) => {
      const path = await Datapath.make([...patient, ...trusting]);
      path.caseSeconds = 20;
      expect(await path.play(`workers.${how}`)).toEqual({ lost: 0 });
      await expectCounters(path, { pairs: 1, tcp_messages: some });
      await expectEmpty(path);
    },
  );

  test("a reader that always sleeps alone is redirected to, although its socket has a second descriptor", async () => {
    const path = await Datapath.make([...patient, ...trusting, "-DADOPT_JIFFIES=1"]);
    const busy = path.start("workers.busy", 10_000);
    await busy.ready();
    const counters = path.counters();
    busy.go();
    await busy.result();
    expect(counters).toMatchObject({ pairs: 1, returns: some, doubtful_messages: some });
    expect(counters.tcp_messages).toBeLessThan(15_000);
    await expectEmpty(path);
  });

  test("flows and a counter say that a busy connection goes over TCP because of a second descriptor", async () => {
    const path = await Datapath.make([...patient, ...trusting]);
    const busy = path.start("workers.busy", 20);
    await busy.ready();
    const flows = path.flows();
    busy.go();
    await busy.result();
    expect(flows.map(({ why }) => why)).toContain("reader-shared");
    await expectCounters(path, { pairs: 1, returns: 0, doubtful_messages: some });
    await expectEmpty(path);
  });

  test("a reader with a second descriptor for its socket is redirected to after a pause", async () => {
    const path = await Datapath.make([...patient, ...trusting, "-DSETTLE_US=20000"]);
    await path.play("workers.duplicated");
    await expectCounters(path, { pairs: 1, redirected_messages: some, returns: some });
    await expectEmpty(path);
  });
});
