// SPDX-License-Identifier: Apache-2.0
import type { Rollout } from "../args/rollout";

/**
 * Sorts hosts into batches that are changed one after another. The names decide, never the order in
 * the map.
 */
export function batchesOf(hosts: readonly string[], rollout: Rollout = {}): string[][] {
  const { canary = [], batchSize = hosts.length } = rollout;
  const others = hosts.filter((name) => !canary.includes(name)).sort();
  const batches = Array.from({ length: Math.ceil(others.length / batchSize) }, (_, at) =>
    others.slice(at * batchSize, (at + 1) * batchSize),
  );
  return [[...canary], ...batches].filter((batch) => batch.length > 0);
}
