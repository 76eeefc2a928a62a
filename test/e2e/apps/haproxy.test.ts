// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { Datapath, expectCounters } from "../../bpf/datapath.js";
import { freePort } from "../../support/port.js";
import { client, expectRedirected, fileWith, isSkippedWithout, Program, withoutSplice } from "./program.js";

const ENOSYS = 38;

describe.skipIf(isSkippedWithout("haproxy", "python3"))("HAProxy in TCP mode", () => {
  // `option splice-auto` is not tested: it splices now and then, so its results differ from run to
  // run (docs/reference/software.md).
  test("without splice, requests and a stream in both directions come back whole", async () => {
    const { path, answer } = await play("", true);
    expect(answer).toEqual({ replies: 200, stuck: false });
    await expectRedirected(path, 4, 400, 1_000_000);
  });

  test("a limit: with option splice-request and splice-response, nothing comes through", async () => {
    const { path, answer } = await play("option splice-request\n option splice-response", true);
    expect(answer).toEqual({ replies: 0, stuck: true });
    await expectRedirected(path, 2, 1, 1);
  });

  test("with splice refused by ENOSYS, everything comes through the bypass", async () => {
    const option = "option splice-request\n option splice-response";
    const { path, answer } = await play(option, true, withoutSplice(ENOSYS));
    expect(answer).toEqual({ replies: 200, stuck: false });
    await expectRedirected(path, 4, 400, 1_000_000);
  });

  test("with both ports of the proxy left out, everything comes through", async () => {
    const { path, answer } = await play("option splice-request\n option splice-response", false);
    expect(answer).toEqual({ replies: 200, stuck: false });
    await expectCounters(path, { pairs: 0, policy_skipped: 8 });
  });
});

async function play(
  option: string,
  isListed: boolean,
  before: string[] = [],
): Promise<{ path: Datapath; answer: unknown }> {
  const [front, back, other] = [await freePort(), await freePort(), await freePort()];
  const path = await Datapath.make([], "--ports", isListed ? `${front},${back}` : `${other}`);
  await new Program(path, [...client("echo"), "serve", back]).listens(back);
  const config = fileWith(`global
 maxconn 100
 maxpipes 50
defaults
 mode tcp
 timeout connect 5s
 timeout client 30s
 timeout server 30s
 ${option}
listen proxy
 bind 127.0.0.1:${front}
 server echo 127.0.0.1:${back}
`);
  await new Program(path, [...before, "haproxy", "-db", "-f", config]).listens(front);
  return { path, answer: JSON.parse(await new Program(path, [...client("echo"), "ask", front]).result()) };
}
