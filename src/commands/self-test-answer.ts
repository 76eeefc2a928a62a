// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { printable } from "./printable";
import { type SelfTestFacts, SelfTestOutcome, type SelfTestResult } from "./self-test";

// The host decides what it answers, so everything has a bound, and no text reaches a terminal as it
// is.
const mostBytes = 16384;
const count = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const text = z.string().max(256).transform(printable);

const words = [
  ...["fionread_redirected", "fionread_tcp", "msg_waitall", "msg_peek", "so_rcvlowat", "splice", "splice_nonblock"],
  ...["oob", "recv_signal", "reset_blocked", "send_after_shutdown", "recv_stopped", "recv_shutdown", "msg_trunc"],
  ...["so_peek_off", "tcp_inq", "timestamps", "zerocopy_receive", "reset", "close_unread"],
];
const counts = ["rounds", "epoll_edge_woken", "poll_woken", "recv_woken", "spurious_eagain"];

/** A host of an earlier version may know other facts; null is what could not be measured. */
const facts = z.object({
  ...Object.fromEntries(words.map((name) => [name, text.nullish()])),
  ...Object.fromEntries(counts.map((name) => [name, count.nullish()])),
});

/** The answer of the step `selftest` as the host prints it. */
const answer = z.object({
  ...{ selftest: z.enum(SelfTestOutcome), kernel: text, machine: text, pairs: count, redirected: count },
  ...{ spliceGuard: text, facts: facts.nullable() },
});

/** Reads what the step `selftest` printed; undefined if it cannot have printed that. */
export function readSelfTest(printed: string): SelfTestResult | undefined {
  const told = printed.length > mostBytes ? undefined : answer.safeParse(asJson(printed)).data;
  if (told === undefined) return undefined;
  const { selftest, redirected, facts: found, ...same } = told;
  return {
    ...{ outcome: selftest, ...same, redirectedMessages: redirected },
    ...(found === null ? {} : { facts: factsOf(found) }),
  };
}

/** Names the facts as properties are named: `fionread_tcp` is `fionreadTcp`. */
function factsOf(found: Readonly<Record<string, unknown>>): SelfTestFacts {
  const known = Object.entries(found).filter(([, value]) => value !== null && value !== undefined);
  return Object.fromEntries(
    known.map(([name, value]) => [name.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase()), value]),
  );
}

function asJson(printed: string): unknown {
  try {
    return JSON.parse(printed);
  } catch {
    return undefined;
  }
}
