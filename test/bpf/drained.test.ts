// SPDX-License-Identifier: Apache-2.0
/*
 * A client that has sent nothing does not know its server's socket, but the server may already
 * redirect to it. Not proven here: a passive end that is between its claim and its publication just
 * when the client leaves.
 */
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Datapath, expectCounters, expectEmpty, isSkipped, patient } from "./datapath.js";

const over = (least: number) => expect.toSatisfy((count: number) => count > least, `more than ${least}`);

describe.skipIf(isSkipped)("a client that has sent nothing", () => {
  test("leaves in a drain only after its server can no longer redirect to it", async () => {
    // The server pauses between its verdict and its redirect for as long as it takes to read the
    // clock a million times.
    const path = await Datapath.make([...patient, "-DPAUSE_BYTES=4321", "-DPAUSE_LOOPS=1000000"]);
    path.caseSeconds = 30;
    const knobs = join(path.host.pins, path.host.generation, "maps/knobs");
    expect(await path.play("drained.beside_a_redirect", knobs)).toEqual({ beside: over(0) });
    await expectCounters(path, { pairs: 20, drained: over(19), redirect_failed: 0 });
    await expectEmpty(path);
  });

  test("and shuts its direction down leaves only after its server can no longer redirect to it", async () => {
    const path = await Datapath.make([...patient, "-DPAUSE_BYTES=4321", "-DPAUSE_LOOPS=1000000"]);
    path.caseSeconds = 30;
    expect(await path.play("drained.shut_beside_a_redirect")).toEqual({ beside: over(0) });
    await expectCounters(path, { pairs: 20, redirect_failed: 0 });
    await expectEmpty(path);
  });

  test("is busy, not idle, while a call of its server may still redirect to it", async () => {
    const path = await Datapath.make(patient);
    const verdicts = () => path.flows().map(({ verdict }) => verdict);
    const fed = path.start("drained.fed_by_a_call");
    expect(await fed.ready()).toBe("standing");
    expect(verdicts().sort()).toEqual(["busy", "idle"]);
    fed.go();
    expect(await fed.ready()).toBe("read");
    expect(verdicts()).toEqual(["idle", "idle"]);
    fed.go();
    await fed.result();
  });
});
