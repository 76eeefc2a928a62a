// SPDX-License-Identifier: Apache-2.0
/* Several threads on one socket, and MSG_WAITALL, during each change of state. */
import { execFileSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { writeTool } from "../support/host.js";
import { Datapath, expectCounters, expectEmpty, isSkipped, leaving, patient, switching } from "./datapath.js";

const over = (least: number) => expect.toSatisfy((count: number) => count > least, `more than ${least}`);
const stays = [...patient, "-DSTRIKES=1000000000", "-DSPILL_BYTES=1000000000"];

describe.skipIf(isSkipped)("several threads on one socket", () => {
  test.each([
    ["spills and returns", switching, { spills: over(5), returns: over(5) }],
    ["leaves", leaving, { leaves: over(0) }],
    ["is drained", stays, { drained: over(0), gone: over(0) }],
  ] as const)(
    "readers of records beside 3 senders in both directions, and 3 readers of one socket, lose nothing while it %s",
    async (what, thresholds, counters) => {
      const path = await Datapath.make([...thresholds, ...patient]);
      const threads = path.start("crowd.mixed_threads", 4);
      await threads.ready();
      await threads.during(1000);
      if (what === "is drained") {
        await path.drain();
        expect(path.sockets()).toBe(0);
      }
      threads.go();
      const { spurious, bytes } = await threads.result();
      console.log(`blocking recv() that returned EAGAIN: ${spurious}`);
      expect(bytes).toBeGreaterThan(1_000_000);
      await expectCounters(path, { pairs: 8, redirect_failed: 0, ...counters });
      await expectEmpty(path);
    },
  );
});

describe.skipIf(isSkipped)("programs loaded without CAP_SYSLOG, and so without the kernel's addresses", () => {
  test("keep order and wake sleepers all the same", async () => {
    const path = Datapath.prepare([...switching, ...patient]);
    const without = "setpriv --bounding-set=-syslog --inh-caps=-syslog";
    writeTool(path.host, "bpftool", `exec ${without} /usr/sbin/bpftool "$@"`);
    const address = "sed -n 's/ T woken_wake_function$//p' /proc/kallsyms";
    expect(execFileSync("sh", ["-c", `${without} ${address}`], { encoding: "utf8" })).toMatch(/^0+\n$/);
    await path.install();
    for (const name of ["deferred_waitall", "waitall_beside_a_sender", "early_server", "polling", "fast_open"]) {
      await path.play(`order.${name}`);
    }
    await expectCounters(path, { pairs: over(0), redirected_messages: over(0), redirect_failed: 0 });
    await expectEmpty(path);
  });
});
