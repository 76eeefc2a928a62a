// SPDX-License-Identifier: Apache-2.0
import { median as medianOf } from "../../../src/cli/median";

/** The median, or an error if there is no value: no figure of a page may come from none. */
export function median(values: readonly number[]): number {
  const found = medianOf(values);
  if (found === undefined) throw new Error("median: expected a value, found none");
  return found;
}
