// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { Datapath, expectCounters, expectEmpty, isSkipped, patient } from "./datapath.js";

const some = expect.toSatisfy((count: number) => count > 0, "more than 0");

/*
 * Not proven here: a reader that falls asleep in the nanoseconds between the check of its lock and
 * the redirect.
 */
describe.skipIf(isSkipped)("a reader asleep on a page inside its own recv()", () => {
  test("does not hold up a non-blocking sender of plain TCP", async () => {
    const path = await Datapath.make(patient);
    await path.play("lock.asleep_in_recv", "plain");
    await expectCounters(path, { pairs: 0 });
  });

  test("does not hold up an enrolled sender, which goes over TCP meanwhile and returns to the bypass", async () => {
    const path = await Datapath.make(patient);
    await path.play("lock.asleep_in_recv", "enrolled");
    await expectCounters(path, { pairs: 1, spills: some, redirected_messages: some, redirect_failed: 0 });
    await expectEmpty(path);
  });

  test("is sent to over TCP for good if it sleeps there again and again, since each time costs its sender a wait", async () => {
    const path = await Datapath.make(patient);
    await path.play("lock.asleep_often");
    await expectCounters(path, { pairs: 1, redirected_messages: some, leaves: some, gone: 2, redirect_failed: 0 });
    await expectEmpty(path);
  });
});
