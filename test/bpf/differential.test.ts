// SPDX-License-Identifier: Apache-2.0
/*
 * Plays random sequences of socket calls, each on a plain connection and on an enrolled one
 * (fuzz/*.c). A difference is either a limit that docs/reference/behaviour.md lists, or a fault; at
 * a fault the program prints a shortened sequence and how to run it again. With
 * SOCKET_BYPASS_FUZZ_SECONDS it runs that long, with other sequences each time;
 * SOCKET_BYPASS_FUZZ_SEED repeats those of an earlier run.
 *
 * Not proven here: what two threads that read one socket at once get; io_uring, MSG_ZEROCOPY, kTLS;
 * anything that needs a rest of more than a few milliseconds; how much may wait in a queue.
 * A sequence is compared only up to the first limit after which the two connections may differ.
 */
import * as fs from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { root } from "../support/host.js";
import { compileProgram, Datapath, expectEmpty, isSkipped, patient, switching } from "./datapath.js";

const long = process.env.SOCKET_BYPASS_FUZZ_SECONDS;
/** `npm test` plays the same sequences on every machine, fast or slow, which takes some seconds. */
const bound = long === undefined ? ["--count", "60"] : ["--seconds", long];
const seconds = Number(long ?? 60);
const seed = process.env.SOCKET_BYPASS_FUZZ_SEED ?? (long === undefined ? "1" : `${Date.now()}`);
const over = (least: number) => expect.toSatisfy((count: number) => count > least, `more than ${least}`);

/** The program's name for each limit, and words of its row in docs/reference/behaviour.md, or in
 * docs/explanation/limits.md. */
const rows: Record<string, string> = {
  splice: "`splice`: `hangs`",
  fionread_tcp: "`fionread_tcp`: `zero`",
  msg_waitall: "`msg_waitall`: `short`",
  so_rcvlowat: "`so_rcvlowat`: `waits`",
  oob: "`oob`: `inband`",
  recv_signal: "`recv_signal`, `recv_stopped`: `EAGAIN`",
  reset_blocked: "`reset_blocked`: `EAGAIN`",
  close_unread: "`close_unread`: `EOF`",
  recv_beside: "another thread shuts the socket down",
  msg_trunc: "`msg_trunc`: `EFAULT`",
  short_read: "a `recv` ends between the last byte through the bypass and the first over TCP",
  queue: "may wait; then its sender continues over TCP",
  spill_room: "128 KiB of room instead of the send buffer",
  cork: "`MSG_MORE`, `TCP_CORK` and Nagle's algorithm",
  edges: "with an extra edge",
  notsent_lowat: "`TCP_NOTSENT_LOWAT` reads 131071",
  empty_send: "a `send` of no bytes",
  empty_recv: "a `recv` of no bytes",
  send_error: "ECONNRESET each time until somebody asks for the error",
};

async function fuzz(path: Datapath, ...flags: string[]): Promise<Record<string, number>> {
  path.caseSeconds = seconds + 100;
  const result = await path.startProgram(compileProgram("fuzz"), "--seed", seed, ...flags).result();
  console.log(`fuzz: ${JSON.stringify(result)}`);
  return result;
}

describe.skipIf(isSkipped)("the same calls on a plain and on an enrolled connection", () => {
  const builds = { "as installed": patient, "with a switch every few messages": [...switching, ...patient] };
  test.each(Object.entries(builds))(
    "%s, with drains in between, the two differ only in the limits of docs/reference/behaviour.md",
    async (_, thresholds) => {
      const path = await Datapath.make(thresholds);
      const knobs = join(path.host.pins, path.host.generation, "maps/knobs");
      const { seed: _seed, sequences, steps, ...found } = await fuzz(path, ...bound, "--drain", knobs);
      expect({ sequences, steps }).toEqual({ sequences: over(5), steps: over(100) });
      expect(Object.keys(found).filter((name) => !(name in rows))).toEqual([]);
      expect(path.counters()).toMatchObject({ pairs: over(5), redirected_messages: over(50), spills: over(5) });
      await expectEmpty(path);
    },
    (seconds + 120) * 1000,
  );

  test("the comparison finds no difference between two plain connections, and soon finds one if it knows no limits", async () => {
    const path = await Datapath.make(patient);
    const { seed: _seed, sequences, ...found } = await fuzz(path, "--count", "15", "--control");
    expect(sequences).toBe(15);
    // The program derives these limits from its own account of what was sent, on either connection.
    expect(Object.keys(found).filter((name) => !["steps", "close_unread", "cork", "queue"].includes(name))).toEqual([]);
    await expect(fuzz(path, "--seconds", "60", "--strict", "--fast")).rejects.toThrow(/^fault: /m);
  }, 300_000);

  test("docs/reference/behaviour.md or the page of limits lists each limit that the comparison knows", () => {
    const pages = ["docs/reference/behaviour.md", "docs/explanation/limits.md"];
    const text = pages
      .map((page) => fs.readFileSync(join(root, page), "utf8"))
      .join("\n")
      .replace(/\s+/g, " ");
    expect(Object.values(rows).filter((words) => !text.includes(words))).toEqual([]);
  });
});
