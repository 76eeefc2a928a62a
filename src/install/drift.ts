// SPDX-License-Identifier: Apache-2.0
import * as pulumi from "@pulumi/pulumi";
import { type Found, keptEpochs, lookAt, readFound } from "../commands/drift-report";
import type { Target } from "../targets/target";
import { readLastSteps } from "./previous-state";

/**
 * Looks at the host, in previews too. A step that drifted gets another epoch in its line, so that
 * it shows as an update.
 */
export function lookForDrift(
  name: string,
  target: Target,
  instance: string,
  stateDir: pulumi.Output<string>,
  parent: pulumi.Resource | undefined,
): pulumi.Output<Found> {
  const looked = target.look(
    stateDir.apply((folder) => lookAt({ stateDir: folder, instance })),
    parent === undefined ? {} : { parent },
  );
  const all = pulumi.all([looked, target.machine, readLastSteps(name, instance)]);
  return all.apply(async ([{ printed, problem, isEarly }, machine, last]) => {
    const kept = { epochs: keptEpochs(last ?? {}), problems: [] };
    if (isEarly) {
      await pulumi.log.info("drift: not looked at, because up will know this host first", parent);
      // If this machine takes the place of another one, no preview can tell what up will find on
      // it.
      return Object.keys(last ?? {}).length === 0 ? kept : { ...kept, epochs: pulumi.unknown as never };
    }
    const found = problem === undefined ? readFound(printed, machine, last ?? {}) : undefined;
    if (found === undefined) {
      const advice = last === undefined ? unknown : asBefore;
      await pulumi.log.warn(`drift: not looked at, because the host ${problem ?? nonsense}; ${advice}`, parent);
      return kept;
    }
    if (found.problems.length > 0) await pulumi.log.warn(`drift: ${found.problems.join("; ")}`, parent);
    return found;
  });
}

const nonsense = "answers what the script that is installed there cannot have printed";
const asBefore =
  "its steps stay as the last run left them, and up tries what else changes: leave it out by --exclude until it is back, or see docs/how-to/host-gone.md";
const unknown =
  "its steps may show as updates, and up tries them: go on without it by --exclude, or see docs/how-to/host-gone.md";
