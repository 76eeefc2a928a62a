// SPDX-License-Identifier: Apache-2.0
import * as pulumi from "@pulumi/pulumi";
import type { Where } from "../args/validation/check";
import { ArgsError, pathText } from "../args/validation/problem";
import { type Identity, identify } from "../commands/identity";

// By the run, as a process may run a program again and again: whether a name was given.
const taken = new WeakMap<object, Map<string, boolean>>();

/**
 * What the installation of a component is called. Two hosts may be one machine, where two of one
 * instance would undo each other's work in turn, and a host cannot tell that from a rename.
 */
export function identityOf(key: readonly string[], given: string | undefined, where: Where): Identity {
  const identity = identify([pulumi.getProject(), pulumi.getStack(), ...key], given);
  const { instance } = identity;
  const monitor = pulumi.runtime.getMonitor();
  if (monitor === undefined) return identity;
  const mine = taken.get(monitor) ?? new Map<string, boolean>();
  taken.set(monitor, mine);
  const wasGiven = mine.get(instance);
  // Names that are made are the same only below parents that differ, on machines that do.
  if (wasGiven === true || (wasGiven === false && given !== undefined)) {
    const fix =
      given === undefined
        ? "its own name makes the same one: give it another instance, which stays"
        : "give it to the one that was renamed, and leave it out elsewhere";
    const expected = "an instance that no other host or pool of this program has";
    throw new ArgsError(where.resource, where.what, [
      { path: pathText([...where.path, "instance"]), expected, found: JSON.stringify(instance), fix },
    ]);
  }
  mine.set(instance, given !== undefined);
  return identity;
}
