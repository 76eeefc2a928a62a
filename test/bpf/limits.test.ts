// SPDX-License-Identifier: Apache-2.0
/*
 * Calls other than send() and recv(), with the limits of docs/reference/behaviour.md as Linux 6.18
 * has them. If a kernel does better, a test here fails and the page needs a change.
 */
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Datapath, expectCounters, expectEmpty, isSkipped, patient, trusting } from "./datapath.js";

const some = expect.toSatisfy((count: number) => count > 0, "more than 0");

describe.skipIf(isSkipped)("other calls than send() and recv()", () => {
  test("sendfile() and splice() to the socket and io_uring, with and without bytes waiting, keep every byte in order", async () => {
    const path = await Datapath.make(patient);
    await path.play("limits.ways");
    await expectCounters(path, { pairs: 3, redirected_messages: some, redirect_failed: 0 });
    await expectEmpty(path);
  });

  test("the kernel has the documented limits: splice() from the socket, MSG_ZEROCOPY, MSG_OOB, SO_RCVLOWAT, FIONREAD, MSG_WAITALL, signals, resets, half-closed, MSG_TRUNC, SEND_ZC, SO_ATTACH_FILTER", async () => {
    const path = await Datapath.make([...patient, ...trusting]);
    expect(await path.play("limits.limits")).toEqual({
      splice_out: { nonblock: "EAGAIN", blocking: "hangs", at_end: 0 },
      zerocopy: { completion: "none" },
      out_of_band: { urgent: false, inband: "AB" },
      lowat: { readable: true, recv: 4 },
      fionread: { by_tcp: 0, redirected: 1000, nothing: 0 },
      waitall: { first: 4 },
      interrupted: { interrupt: "EAGAIN", restart: "EAGAIN" },
      reset_blocked: { first: "EAGAIN", next: "ECONNRESET" },
      // Plain TCP gives the same error: the FIN moves write_seq, so this message goes over TCP.
      shutdown_write: { send: "EPIPE" },
      half_closed: { client: "1", server: "1", unread: "EAGAIN" },
      filtered: { recv: 4 },
      truncation: { no_buffer: "EFAULT", buffer: "overwritten" },
      zerocopy_send: { connecting: "ENOTSUP", accepting: "works" },
    });
    // A filter that drops the FIN keeps its connection alive for a while, although both ends have
    // closed it.
    await path.ok("attach");
    await expectEmpty(path);
  });

  test("a blocking recv() gives EAGAIN when its thread is woken without data, even if no handler runs, and over plain TCP it goes on", async () => {
    const path = await Datapath.make(patient);
    const causes = ["spawned", "stopped", "frozen", "traced", "task_work"];
    const all = (word: string) => Object.fromEntries(causes.map((cause) => [cause, word]));
    expect(await path.play("woken.causes")).toEqual({ ...all("EAGAIN"), shut_down: "EAGAIN" });
    await path.drain();
    expect(await path.play("woken.causes")).toEqual({ ...all("data"), shut_down: "EOF" });
  });

  test("a connection whose server answers with SYN cookies stays on TCP", async () => {
    const path = await Datapath.make(patient);
    await path.play("limits.syn_cookies");
    await expectCounters(path, { pairs: 0, remote_skipped: 2, redirected_messages: 0 });
  });

  test("a firewall rule that is added later cuts an enrolled connection only when a message goes over TCP, which after a drain is the next one", async () => {
    const path = await Datapath.make([...patient, "-DREFRESH_JIFFIES=500"]);
    path.caseSeconds = 40;
    expect(await path.play("firewall.late_rule")).toEqual({ first: "arrives", later: "cut" });
    const drained = path.start("firewall.late_rule", "drain");
    await drained.ready();
    await path.drain();
    drained.go();
    expect(await drained.result()).toEqual({ first: "cut", later: "cut" });
    expect(await path.play("firewall.late_rule"), "plain TCP").toEqual({ first: "cut", later: "cut" });
  });

  test("--refresh-seconds makes a message go over TCP sooner, on a kernel of any HZ", async () => {
    const path = await Datapath.make(patient, "--refresh-seconds", "2");
    path.caseSeconds = 40;
    expect(await path.play("firewall.late_rule")).toEqual({ first: "arrives", later: "cut" });
  });

  test("the self-test finds the limits that it can measure", async () => {
    const path = await Datapath.make([...patient, ...trusting]);
    const probe = join(path.host.bundle, "probe");
    const answer = await path.startProgram("sh", "-c", 'exec "$0-$(uname -m)" selftest', probe).result();
    expect(answer).toMatchObject({
      ok: true,
      facts: {
        fionread_redirected: "exact",
        fionread_tcp: "zero",
        msg_waitall: "short",
        msg_peek: "works",
        so_rcvlowat: "waits",
        splice: "hangs",
        splice_nonblock: "EAGAIN",
        oob: "inband",
        recv_signal: "EAGAIN",
        recv_stopped: "EAGAIN",
        recv_shutdown: "EAGAIN",
        reset_blocked: "EAGAIN",
        msg_trunc: "EFAULT",
        so_peek_off: "works",
        tcp_inq: "exact",
        timestamps: "arrive",
        zerocopy_receive: "zero",
        close_unread: "EOF",
      },
    });
  });
});
