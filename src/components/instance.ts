// SPDX-License-Identifier: Apache-2.0
import * as pulumi from "@pulumi/pulumi";
import type { Where } from "../args/validation/check";
import { ArgsError, pathText } from "../args/validation/problem";
import { type Identity, identify } from "../commands/identity";
import { currentRun } from "../targets/current-run";

// Whether each instance name was given by the user, by the run of the engine.
const taken = new WeakMap<object, Map<string, boolean>>();

/**
 * Chooses the instance name of a component. Two hosts may be the same machine, where two
 * installations with one instance name would undo each other's work in turn, and a host cannot tell
 * that from a rename.
 */
export function identityOf(key: readonly string[], given: string | undefined, where: Where): Identity {
  const identity = identify([pulumi.getProject(), pulumi.getStack(), ...key], given);
  const { instance } = identity;
  const run = currentRun();
  if (run === undefined) return identity;
  const mine = taken.get(run) ?? new Map<string, boolean>();
  taken.set(run, mine);
  const wasGiven = mine.get(instance);
  // Derived names are equal only for components of one name under different parents, which install
  // on different machines.
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
