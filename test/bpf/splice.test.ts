// SPDX-License-Identifier: Apache-2.0
/*
 * The splice guard. Not proven here: a reader that is sent bytes by the bypass between its last recv() and its first splice(); it does not
 * get them by splice, with the guard as without (docs/limits.md).
 */
import { beforeEach, describe, expect, test } from "vitest";
import { Datapath, expectCounters, isSkipped } from "./datapath.js";

const some = expect.toSatisfy((count: number) => count > 0, "more than 0");

describe.skipIf(isSkipped)("the splice guard", () => {
  let path: Datapath;
  let isGuarded: boolean | undefined;

  beforeEach(async () => {
    path = await Datapath.make([], "--splice-guard");
    isGuarded = (await path.host.status()).generations[0]?.spliceGuard;
  });

  test("where the kernel or bpftool cannot have it, says so and goes on without", async (context) => {
    if (isGuarded) return context.skip("it works here");
    const again = await path.host.verb("attach", "--splice-guard");
    expect(again).toMatchObject({
      code: 0,
      stderr: expect.stringContaining("note: no splice guard, which takes fentry"),
    });
    await path.play("splice.receiving");
    await expectCounters(path, { pairs: 1, redirected_messages: some });
  });

  test("a reader that splices from the first byte on gets everything", async (context) => {
    if (!isGuarded) return context.skip("it does not work here");
    await path.play("splice.from_the_first");
    await expectCounters(path, { pairs: 1, leaves: some });
  });

  test("one that begins to splice when all was received gets what follows", async (context) => {
    if (!isGuarded) return context.skip("it does not work here");
    await path.play("splice.after_a_header");
    await expectCounters(path, { pairs: 1, redirected_messages: some, leaves: some });
  });

  test("one that receives is redirected to, and without the flag it is gone", async (context) => {
    if (!isGuarded) return context.skip("it does not work here");
    await path.play("splice.receiving");
    await expectCounters(path, { pairs: 1, redirected_messages: some, leaves: 0 });
    await path.ok("attach");
    expect((await path.host.status()).generations[0]).toMatchObject({ spliceGuard: false });
  });
});
