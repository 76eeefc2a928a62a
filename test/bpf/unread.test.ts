// SPDX-License-Identifier: Apache-2.0
/*
 * Programs that believe FIONREAD, where it leaves out what came by TCP to an enrolled socket (docs/limits.md). A test sets what the
 * host script found out about the kernel, so the datapath is the same on each.
 *
 * Not proven here: nginx itself (test/apps); what goes by TCP to a reader that is far behind.
 */
import { describe, expect, test } from "vitest";
import { call } from "../host/machine.js";
import { Datapath, expectCounters, expectEmpty, isSkipped, patient } from "./datapath.js";

const some = expect.toSatisfy((count: number) => count > 0, "more than 0");
const connections = 50;
/** Before, it leaves out what was redirected. */
const countsRedirected =
  !isSkipped && call("sh", "-c", "grep -c msg_tot_len /sys/kernel/btf/vmlinux || :").trim() !== "0";

const make = async (...flags: string[]) => {
  const path = await Datapath.make([...patient, ...flags]);
  path.setUnread(false);
  return path;
};

describe.skipIf(isSkipped)("where FIONREAD is wrong", () => {
  test("both ends of a connection to a listener that defers stay on TCP, and are told the truth", async () => {
    const path = await make();
    expect(await path.play("unread.deferred", connections)).toEqual({ server: connections, client: connections });
    await expectCounters(path, {
      ...{ pairs: 0, refused_deferred: connections, redirected_messages: 0, gone: connections },
      ...{ unpaired: 0, refused_other: 0 },
    });
    await expectEmpty(path);
  });

  test("connections to any other listener are enrolled, also where the client sends at once", async () => {
    const path = await make();
    await path.play("unread.early", 300);
    await expectCounters(path, { pairs: 300, refused_deferred: 0, redirected_messages: some });
  });
});

describe.skipIf(isSkipped)("where FIONREAD is right", () => {
  test.skipIf(!countsRedirected)("connections to a listener that defers are enrolled", async () => {
    const path = await Datapath.make(patient);
    path.setUnread(true);
    await path.play("unread.deferred", connections); // what it is told is the kernel's affair
    await expectCounters(path, { pairs: connections, refused_deferred: 0, redirected_messages: some });
  });
});

describe.skipIf(isSkipped)("the host script", () => {
  test("finds out at once what the self-test finds", async () => {
    const path = await Datapath.make();
    const found = path.isUnreadRight();
    const { facts } = JSON.parse(await path.ok("selftest"));
    expect(["exact", "zero"]).toContain(facts.fionread_tcp);
    expect(found).toBe(facts.fionread_tcp === "exact");
  });
});
