// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { build, childrenOf, run, start, waitUntil } from "./probe.js";

const probe = build();
const names = [
  ...["ipv4", "ipv6", "ipv4_mapped", "early_server", "early_client", "early_both", "deferred_accept", "fast_open"],
  ...["slow_reader", "half_close", "reset", "close_unread", "short_connections", "duplex", "duplex_at_once"],
  ...["wake_poll", "wake_recv", "facts"],
];

// Not proven here: anything about redirected sockets, which needs the programs to be loaded
// (test/bpf, test/host/script).
describe("selftest on plain TCP", () => {
  test("passes every case and reports the facts of TCP", async () => {
    const ended = await run(probe, "selftest");
    expect(ended).toMatchObject({ code: 0, stderr: "" });
    expect(ended.stdout.split("\n").length).toBe(2);
    const answer = JSON.parse(ended.stdout);
    expect(answer.ok).toBe(true);
    expect(Object.keys(answer.cases)).toEqual(names);
    for (const [name, result] of Object.entries(answer.cases)) {
      if (!Object.hasOwn(result as object, "skipped"))
        expect({ name, result }).toEqual({
          name,
          result: { ok: true, bytes: expect.any(Number), ms: expect.any(Number) },
        });
    }
    expect(answer.cases.duplex.bytes).toBeGreaterThan(8 << 20);
    expect(answer.facts).toEqual({
      fionread_redirected: "exact",
      fionread_tcp: "exact",
      msg_waitall: "waits",
      msg_peek: "works",
      so_rcvlowat: "waits",
      splice: "works",
      splice_nonblock: "works",
      oob: "urgent",
      recv_signal: "restarts",
      reset_blocked: "ECONNRESET",
      send_after_shutdown: "EPIPE",
      recv_stopped: "restarts",
      recv_shutdown: "EOF",
      msg_trunc: "discards",
      so_peek_off: "works",
      tcp_inq: "exact",
      timestamps: "arrive",
      zerocopy_receive: "exact",
      reset: "ECONNRESET",
      close_unread: "ECONNRESET",
      rounds: 1000,
      epoll_edge_woken: 1000,
      poll_woken: 1000,
      recv_woken: 1000,
      spurious_eagain: 0,
    });
  });

  test("sends the same bytes in every run, so a failure can be repeated", async () => {
    const count = async () => {
      const { cases } = JSON.parse((await run(probe, "selftest")).stdout);
      return names.map((name) => cases[name].bytes);
    };
    expect(await count()).toEqual(await count());
  });

  test("leaves no process behind when it is killed", async () => {
    const { child, ended } = start(probe, "selftest");
    let server = 0;
    await waitUntil("a server process", () => {
      server = childrenOf(child.pid)[0] ?? 0;
      return server > 0;
    });
    child.kill("SIGKILL");
    await ended;
    await waitUntil("the server process to end", () => !isRunning(server));
  });
});

function isRunning(pid: number): boolean {
  try {
    // A zombie has ended; only its parent, which is not ours, has not waited for it yet.
    return !/^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}
