// SPDX-License-Identifier: Apache-2.0
import { median as medianOf } from "../../../src/cli/median";

export function median(values: readonly number[]): number {
  const found = medianOf(values);
  if (found === undefined) throw new Error("median: expected a value, found none");
  return found;
}
