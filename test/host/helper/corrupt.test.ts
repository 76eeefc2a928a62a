// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { build, run } from "./probe.js";

// In this build the senders damage their stream on request; the receivers are the real ones.
const probe = build("-DPROBE_CORRUPT");
const chunk = 32;

async function corrupt(kind: string, side: string, offset: number) {
  const ended = await run(probe, "selftest", "--corrupt", kind, side, String(offset));
  expect(ended).toMatchObject({ code: 1, stderr: "" });
  const answer = JSON.parse(ended.stdout);
  expect(answer.ok).toBe(false);
  return answer.cases;
}

describe.each([
  ["client", "client to server"],
  ["server", "server to client"],
])("a path that damages what the %s sends", (side, direction) => {
  const wrong = (offset: number) => ({
    ok: false,
    bytes: expect.any(Number),
    ms: expect.any(Number),
    error: "wrong byte",
    direction,
    offset,
    sent: expect.any(Number),
    expected: expect.any(Number),
    found: expect.any(Number),
  });

  test("one flipped bit is found and reported with its offset and both values", async () => {
    const { ipv4, duplex, half_close } = await corrupt("flip", side, 1234);
    expect(ipv4).toEqual(wrong(1234));
    expect(ipv4.expected ^ ipv4.found).toBe(0x10);
    expect([duplex, half_close]).toEqual([wrong(1234), wrong(1234)]);
  });

  test("a flipped bit far into the stream is found in the cases that send that much, and only in those", async () => {
    const { duplex, slow_reader, reset } = await corrupt("flip", side, 3_000_001);
    expect(duplex).toEqual(wrong(3_000_001));
    // In the case slow_reader only the client sends that much.
    expect(slow_reader.ok).toBe(side === "server");
    expect(reset.ok).toBe(true);
  });

  test("lost bytes are found and reported as later ones that came instead", async () => {
    expect((await corrupt("omit", side, 100)).ipv4).toEqual({ ...wrong(100), belongs_at: 100 + chunk });
  });

  test("repeated bytes are found and reported as earlier ones that came again", async () => {
    expect((await corrupt("repeat", side, 100)).ipv4).toEqual({ ...wrong(100 + chunk), belongs_at: 100 });
  });

  test("swapped bytes are found and reported with where they belong", async () => {
    expect((await corrupt("swap", side, 100)).ipv4).toEqual({ ...wrong(100), belongs_at: 100 + chunk });
  });

  test("bytes that never come fail their case and do not end the run", async () => {
    const cases = await corrupt("cut", side, 5000);
    expect(cases.ipv4).toMatchObject({ ok: false, error: "nothing arrived for 2 s", direction });
    expect(cases.ipv4.sent).toBeGreaterThan(cases.ipv4.offset);
    expect(cases.early_server.ok).toBe(false);
  });
});

test("a run that exceeds its time is ended and says in which case", async () => {
  const ended = await run(probe, "selftest", "--corrupt", "cut", "client", "50", "--seconds", "1");
  expect(ended).toEqual({
    code: 1,
    stdout: '{"ok":false,"error":"no end within 1 s","case":"ipv4"}\n',
    stderr: "",
  });
});

test("the damaging build passes without a fault, so only the faults above make it fail", async () => {
  expect(await run(probe, "selftest")).toMatchObject({ code: 0, stderr: "" });
});
