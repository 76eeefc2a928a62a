// SPDX-License-Identifier: Apache-2.0
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { build, isUnprivileged, run } from "./probe.js";

const probe = build();
/** As in a pod: no right to make a namespace. */
const confined = ["setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin"];

/**
 * What the probe answers in a network where two processes of another user dial its listeners all
 * the time, and how often they were sent away.
 */
async function amongStrangers(...command: string[]) {
  const script = 'ip link set lo up && exec python3 "$@"';
  const { code, stdout, stderr } = await run(
    ...(["unshare", "-n", "sh", "-c", script, "sh", join(__dirname, "strangers.py"), "2", ...command] as const),
  );
  expect({ code, stderr, stdout }).toMatchObject({ code: 0, stderr: "" });
  const [answer = "", last = "", ...more] = stdout.trim().split("\n");
  expect(more).toEqual([]);
  return { answer: JSON.parse(answer), sentAway: Number(/^sent away (\d+)$/.exec(last)?.[1]) };
}

// What these do not prove: anything against a user who takes all ports or all of the processor;
// that the modes of bench whose listener is soon closed send strangers away too.
describe.skipIf(isUnprivileged)("users who dial the listeners of the probe first", () => {
  test("do not meet the self-test where it may have a network of its own", async () => {
    const { answer, sentAway } = await amongStrangers(probe, "selftest", "--seconds", "60");
    expect([answer.ok, sentAway]).toEqual([true, 0]);
    // That network lets servers take data with a SYN, whatever the host's does.
    expect(answer.cases.fast_open.skipped).toBeUndefined();
  });

  test("are sent away by the self-test where it may not", async () => {
    const { answer, sentAway } = await amongStrangers(...confined, probe, "selftest", "--seconds", "60");
    expect(answer.ok).toBe(true);
    expect(sentAway).toBeGreaterThan(0);
  });

  // In this mode the listener is open throughout; in the others it closes when all of its clients
  // have come.
  test.each(["tcp", "tcp6"])("are sent away by bench over %s", async (transport) => {
    const { answer, sentAway } = await amongStrangers(
      ...[probe, "bench", "--mode", "connect", "--transport", transport, "--ms", "3000"],
    );
    expect(answer).toMatchObject({ mode: "connect", transport });
    expect(answer.messages).toBeGreaterThan(0);
    expect(sentAway).toBeGreaterThan(0);
  });
});
