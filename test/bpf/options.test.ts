// SPDX-License-Identifier: Apache-2.0
/*
 * Socket options that only TCP obeys and that the socket's own fields show
 * (docs/reference/behaviour.md, "Options and flags that need TCP").
 *
 * Not proven here: that a pacing rate is kept (only timing would show it); flags of a single call
 * (MSG_WAITALL, MSG_TRUNC), which no field shows; messages between the moment an option is set and
 * the next check of the reader.
 */
import { describe, expect, test } from "vitest";
import { Datapath, expectCounters, expectEmpty, isSkipped, patient } from "./datapath.js";

const some = expect.toSatisfy((count: number) => count > 0, "more than 0");

/** What plain TCP does, whichever end has set the option. */
const obeyed = Object.fromEntries(
  Object.entries({
    SO_RCVLOWAT: "waits",
    SO_PEEK_OFF: "goes on",
    TCP_INQ: "tells",
    SO_TIMESTAMPNS: "tells",
    SO_TIMESTAMPING: "tells",
    SO_OOBINLINE: "marked",
    SO_ATTACH_FILTER: "cut",
    SO_ZEROCOPY: "told",
    SO_MAX_PACING_RATE: "passes",
  }).flatMap(([name, word]) => ["client", "server"].map((owner) => [`${name} ${owner}`, word])),
);
const connections = Object.keys(obeyed).length;

describe.skipIf(isSkipped)("options that need TCP", () => {
  test.each([
    ["before there is a connection makes no pair", "before", { pairs: 0, redirected_messages: 0 }],
    ["before there is data lets nothing be redirected", "accepted", { pairs: connections, redirected_messages: 0 }],
    [
      "in the middle makes both directions leave at the next check",
      "after",
      { pairs: connections, redirected_messages: some },
    ],
  ])("each option set %s, and is obeyed", async (_title, when, counters) => {
    const path = await Datapath.make(patient);
    expect(await path.play("options.obey", when)).toEqual(obeyed);
    await expectCounters(path, { ...counters, refused_options: some, refused_other: 0, redirect_failed: 0 });
    await expectEmpty(path);
  });

  test("plain TCP obeys all of them", async () => {
    const path = await Datapath.make(patient);
    await path.drain();
    expect(await path.play("options.obey", "before")).toEqual(obeyed);
  });

  test("options that are set to their defaults keep nothing from the bypass", async () => {
    const path = await Datapath.make(patient);
    await path.play("options.defaults");
    await expectCounters(path, { pairs: 1, redirected_messages: some, refused_options: 0, leaves: 0 });
    await expectEmpty(path);
  });
});
