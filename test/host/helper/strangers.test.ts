// SPDX-License-Identifier: Apache-2.0
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { build, isUnprivileged, run } from "./probe.js";

const probe = build();
/** Takes away the right to make a namespace, as in a pod. */
const confined = ["setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin"];

/**
 * Gives what the probe answers in a network namespace where two processes of another user connect
 * to its listeners all the time, and how often they were reset.
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

// Not proven here: anything against a user who takes all ports or all CPU time; that the modes of
// bench whose listener is soon closed reject strangers too.
describe.skipIf(isUnprivileged)("users who connect to the listeners of the probe first", () => {
  test("cannot reach the self-test if it may have a network namespace of its own", async () => {
    const { answer, sentAway } = await amongStrangers(probe, "selftest", "--seconds", "60");
    expect([answer.ok, sentAway]).toEqual([true, 0]);
    // That namespace lets servers accept data in a SYN, whatever the host's setting is.
    expect(answer.cases.fast_open.skipped).toBeUndefined();
  });

  test("are rejected by the self-test if it may not", async () => {
    const { answer, sentAway } = await amongStrangers(...confined, probe, "selftest", "--seconds", "60");
    expect(answer.ok).toBe(true);
    expect(sentAway).toBeGreaterThan(0);
  });

  // In this mode the listener is open throughout; in the others it closes when all of its clients
  // have connected.
  test.each(["tcp", "tcp6"])("are rejected by bench over %s", async (transport) => {
    const { answer, sentAway } = await amongStrangers(
      ...[probe, "bench", "--mode", "connect", "--transport", transport, "--ms", "3000"],
    );
    expect(answer).toMatchObject({ mode: "connect", transport });
    expect(answer.messages).toBeGreaterThan(0);
    expect(sentAway).toBeGreaterThan(0);
  });
});
