// SPDX-License-Identifier: Apache-2.0
/*
 * Not proven here: newer versions of passt, which look at unread bytes with SO_PEEK_OFF (Linux
 * 6.9); Podman itself; connections that a container opens.
 */
import { describe, expect, test } from "vitest";
import { Datapath, expectCounters } from "../../bpf/datapath.js";
import { temporaryFolder } from "../../support/host.js";
import { freePort } from "../../support/port.js";
import { client, isSkippedWithout, Program } from "./program.js";

describe.skipIf(isSkippedWithout("pasta", "python3", "ip"))("pasta", () => {
  test("a limit: what it forwards stalls, both from an address of the host and from loopback", async () => {
    const { answer } = await play(true);
    expect(answer).toEqual({ by_address: "stalls", by_loopback: "stalls" });
  });

  test("with its ports left out, everything comes through", async () => {
    const { path, answer } = await play(false);
    expect(answer).toEqual({ by_address: "whole", by_loopback: "whole" });
    await expectCounters(path, { pairs: 0, redirected_messages: 0 });
  });
});

async function play(isListed: boolean): Promise<{ path: Datapath; answer: unknown }> {
  const [port, other] = [await freePort(), await freePort()];
  const path = await Datapath.make([], "--ports", `${isListed ? port : other}`);
  const text = await new Program(path, [...client("pasta"), temporaryFolder(), port]).result();
  return { path, answer: JSON.parse(text.trim().split("\n").at(-1) ?? "") };
}
