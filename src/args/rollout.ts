// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { shape, wrong } from "./validation/schema";

/**
 * The order in which hosts are changed. It decides what the program declares, so all of it must be
 * known when the program runs.
 */
export interface Rollout {
  /**
   * Hosts that come first, by their names; the others wait until every step of them has ended well.
   * Default: none.
   */
  canary?: string[];
  /**
   * How many of the other hosts are changed at a time, in the order of their names, from 1 to 1000.
   * Default: all at once.
   */
  batchSize?: number;
}

const names = z
  .unknown()
  .check((context) => {
    const { value } = context;
    if (value === undefined) return;
    const fix = 'give a list of names, as in ["web1"]; an Output is known too late';
    if (!Array.isArray(value) || value.length === 0) {
      context.issues.push(wrong(value, [], "a list of at least one host", fix));
      return;
    }
    for (const [at, name] of value.entries()) {
      if (typeof name !== "string") context.issues.push(wrong(name, [at], "the name of a host", fix));
      else if (value.indexOf(name) < at) context.issues.push(wrong(name, [at], "each host once", "remove it"));
    }
  })
  .optional();

const size = z
  .unknown()
  .check((context) => {
    const { value } = context;
    if (value === undefined || (Number.isInteger(value) && Number(value) >= 1 && Number(value) <= 1000)) return;
    const fix = "write it without quotes; an Output is known too late";
    context.issues.push(wrong(value, [], "a whole number of hosts from 1 to 1000", fix));
  })
  .optional();

/** @internal */
export const rolloutSchema = shape({ canary: names, batchSize: size });

/** Canaries that are not declared as hosts, with their index in the list. @internal */
export function strangers(rollout: unknown, hosts: unknown): [at: number, name: string][] {
  if (typeof rollout !== "object" || rollout === null || typeof hosts !== "object" || hosts === null) return [];
  const { canary } = rollout as { canary?: unknown };
  const entries: [number, unknown][] = Array.isArray(canary) ? [...canary.entries()] : [];
  return entries.filter((one): one is [number, string] => typeof one[1] === "string" && !Object.hasOwn(hosts, one[1]));
}
