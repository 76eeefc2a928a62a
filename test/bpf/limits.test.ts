// SPDX-License-Identifier: Apache-2.0
/*
 * What else there is to send and receive with. The limits are those of docs/limits.md, as Linux 6.18 has them: where a kernel does
 * better, a test here fails and the page wants a change.
 */
import { describe, expect, test } from "vitest";
import { Datapath, expectCounters, expectEmpty, isSkipped, patient } from "./datapath.js";

const some = expect.toSatisfy((count: number) => count > 0, "more than 0");

describe.skipIf(isSkipped)("other calls than send() and recv()", () => {
  test("sendfile() and splice() to the socket, io_uring with and without bytes there: every byte in order", async () => {
    const path = await Datapath.make(patient);
    await path.play("limits.ways");
    await expectCounters(path, { pairs: 3, redirected_messages: some, redirect_failed: 0 });
    await expectEmpty(path);
  });

  test("limits of the kernel: splice() from the socket, MSG_ZEROCOPY, MSG_OOB, SO_RCVLOWAT, FIONREAD, MSG_WAITALL, signals, resets", async () => {
    const path = await Datapath.make(patient);
    expect(await path.play("limits.limits")).toEqual({
      splice_out: { nonblock: "EAGAIN", blocking: "hangs", at_end: 0 },
      zerocopy: { completion: "none" },
      out_of_band: { urgent: false, inband: "AB" },
      lowat: { readable: true, recv: 4 },
      fionread: { by_tcp: 0, redirected: 1000, nothing: 0 },
      waitall: { first: 4 },
      interrupted: { interrupt: "EAGAIN", restart: "EAGAIN" },
      reset_blocked: { first: "EAGAIN", next: "ECONNRESET" },
      // As by plain TCP: the FIN moves write_seq, so this message goes by TCP.
      shutdown_write: { send: "EPIPE" },
    });
    await expectEmpty(path);
  });
});
