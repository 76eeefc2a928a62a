// SPDX-License-Identifier: Apache-2.0
import * as pulumi from "@pulumi/pulumi";

let isPlugin = false;
const runs = new Map<string, object>();

/**
 * Says that this process makes components for programs in other languages: each of them has a
 * client of its own to the engine there.
 */
export function servePlugin(): void {
  isPlugin = true;
}

/**
 * What stands for this run of the engine, because a process may run a program several times;
 * undefined if there is no engine. In a plugin, that is the engine's address. Elsewhere it is the
 * client, because a later engine may get the address of an earlier one.
 */
export function currentRun(): object | undefined {
  const client = pulumi.runtime.getMonitor() as { getChannel?(): { getTarget(): string } } | undefined;
  const address = isPlugin ? client?.getChannel?.().getTarget() : undefined;
  if (address === undefined) return client;
  const run = runs.get(address) ?? {};
  runs.set(address, run);
  return run;
}
