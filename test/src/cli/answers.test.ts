// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { readAnswer, statusAnswer } from "../../../src/cli/answers";

test.each([
  [{ method: "fexit" }, { method: "fexit" }],
  // As a build before the first release says it.
  [{ way: "fexit" }, undefined],
])("a host whose status says the splice guard as %j has the rest of its status read", (said, read) => {
  const status = { instance: "edge", serving: "abc", healthy: true, problems: [], generations: [] };
  expect(readAnswer(statusAnswer, JSON.stringify([{ ...status, spliceGuard: said }]))).toEqual([
    { ...status, spliceGuard: read },
  ]);
});
