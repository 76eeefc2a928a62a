// SPDX-License-Identifier: Apache-2.0
import * as pulumi from "@pulumi/pulumi";
import { expect, test, vi } from "vitest";
import { limitConcurrency } from "../../../src/targets/concurrency";

test("at most 32 machines are asked at once, and a failure frees its slot", async () => {
  const inTurn = limitConcurrency(() => "");
  let [now, most] = [0, 0];
  const asked = Array.from({ length: 200 }, (_, number) =>
    inTurn(async () => {
      most = Math.max(most, ++now);
      await new Promise((wake) => setTimeout(wake, number % 7));
      now--;
      if (number % 3 === 0) throw new Error("no answer");
      return number;
    }),
  );
  const ends = await Promise.allSettled(asked);
  expect(ends.map(({ status }) => status)).toEqual(
    Array.from({ length: 200 }, (_, number) => (number % 3 === 0 ? "rejected" : "fulfilled")),
  );
  expect([most, now]).toEqual([32, 0]);
});

test("every tenth answer is logged, with what is asked so far, but not the last one", async () => {
  const info = vi.spyOn(pulumi.log, "info").mockResolvedValue();
  try {
    const run = async (count: number, work: () => Promise<void>) => {
      info.mockClear();
      const inTurn = limitConcurrency((done, asked) => `${done} of ${asked}`);
      await Promise.allSettled(Array.from({ length: count }, () => inTurn(work)));
      return info.mock.calls;
    };
    const line = (text: string) => [text, undefined, undefined, true];
    expect(await run(30, async () => undefined)).toEqual([line("10 of 30"), line("20 of 30")]);
    expect(await run(25, () => Promise.reject(new Error("no answer")))).toEqual([line("10 of 25"), line("20 of 25")]);
    expect(await run(9, async () => undefined)).toEqual([]);
  } finally {
    info.mockRestore();
  }
});
