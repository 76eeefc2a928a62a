// SPDX-License-Identifier: Apache-2.0
/*
 * What connections count under, and why their messages go over TCP. test/host/script/ports.test.ts
 * has the numbers of whole conversations, policies that change, and more ranges than there is room
 * for.
 */
import { describe, expect, test, vi } from "vitest";
import { slowness } from "../support/machine.js";
import { Datapath, expectEmpty, isSkipped, patient } from "./datapath.js";

/** The redirected messages of each range, those over TCP by reason, once all sockets are closed. */
async function count(path: Datapath) {
  await expectEmpty(path);
  return await vi.waitFor(
    async () => {
      const { ports, notRedirected } = (await path.host.status()).generations[0] ?? { ports: [], notRedirected: {} };
      expect(ports.map(({ enrolled }) => enrolled)).toEqual(ports.map(() => 0));
      const reasons = Object.entries(notRedirected).filter(([, messages]) => messages > 0);
      return {
        ports: Object.fromEntries(ports.map(({ ports, messages }) => [ports, messages])),
        reasons: Object.fromEntries(reasons),
      };
    },
    { timeout: 10_000 * slowness },
  );
}

describe.skipIf(isSkipped)("counters by ports", () => {
  test("each end counts under the server's port as it sees it, behind a node that rewrites that port", async () => {
    const path = await Datapath.make([], "--ports", "7000,80");
    await path.play("paths.dnat");
    const { ports } = await count(path);
    expect(ports).toEqual({ "80": { bypass: 100, tcp: 0 }, "7000": { bypass: 100, tcp: 0 } });
  });

  test("a connection counts under the first range that lists its server's port", async () => {
    const path = await Datapath.make([], "--ports", "20001,30000-30010,30005");
    const talk = path.start("paths.ports", 20001, 30005);
    for (const port of ["20001", "30005"]) {
      expect(await talk.ready()).toBe(port);
      talk.go();
    }
    await talk.result();
    const { ports } = await count(path);
    const all = { bypass: 100, tcp: 0 };
    expect(ports).toEqual({ "20001": all, "30000-30010": all, "30005": { bypass: 0, tcp: 0 } });
  });

  test("a connection to an unlisted port counts under its client's port", async () => {
    const path = await Datapath.make([], "--ports", "18000");
    await path.play("paths.source", 18000);
    expect((await count(path)).ports).toEqual({ "18000": { bypass: 100, tcp: 0 } });
  });

  test("the first message of each direction goes over TCP for the splice guard, and counts as that", async () => {
    const path = await Datapath.make(["-DGUARD_ALWAYS", ...patient]);
    path.setUnread(true);
    await path.play("paths.family", "ipv4");
    expect(await count(path)).toEqual({
      ports: { "1-65535": { bypass: 98, tcp: 2 } },
      reasons: { "first-message": 2 },
    });
  });

  test("a direction that sends a message over TCP after a pause counts that as a refresh", async () => {
    const path = await Datapath.make(["-DREFRESH_JIFFIES=2", ...patient]);
    path.setUnread(true);
    await path.play("unread.believed", 20, 0.1, "blocks");
    const { ports, reasons } = await count(path);
    expect(Object.keys(reasons)).toContain("refresh");
    expect(Object.values(reasons).reduce((sum, messages) => sum + messages, 0)).toBe(ports["1-65535"]?.tcp);
  });
});
