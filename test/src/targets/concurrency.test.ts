// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
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
