// SPDX-License-Identifier: Apache-2.0
import * as pulumi from "@pulumi/pulumi";
import { epochIn, type Found, lookAt, readFound } from "../host/drift";
import { stepNames } from "../host/lines";
import type { Target } from "../targets/target";
import { readLast } from "./last-state";
import { suffixes } from "./step-names";

/** What drifted becomes another number in the line of its step, so it shows as an update. Looked at in previews too. */
export function lookForDrift(
  name: string,
  target: Target,
  instance: string,
  stateDir: pulumi.Output<string>,
  opts: pulumi.CustomResourceOptions,
): pulumi.Output<Found> {
  const { parent } = opts;
  const looked = target.look(
    stateDir.apply((folder) => lookAt({ stateDir: folder, instance })),
    parent === undefined ? {} : { parent },
  );
  return pulumi.all([looked, target.machine]).apply(async ([{ printed, problem, isEarly }, machine]) => {
    if (isEarly) {
      await pulumi.log.info("drift: not looked at, because up will know this host first", parent);
      return { epochs: {}, problems: [] };
    }
    const found = problem === undefined ? readFound(printed, stepNames, machine, Date.now()) : undefined;
    if (found === undefined) {
      const epochs = await lastEpochs(name, parent);
      const advice = epochs === undefined ? unknown : kept;
      await pulumi.log.warn(`drift: not looked at, because the host ${problem ?? nonsense}; ${advice}`, parent);
      return { epochs: epochs ?? {}, problems: [] };
    }
    if (found.problems.length > 0) await pulumi.log.warn(`drift: ${found.problems.join("; ")}`, parent);
    return found;
  });
}

const nonsense = "answers what the script that is installed there cannot have printed";
const kept =
  "its steps stay as they were told last, and up tries what else changes: leave it out by --exclude until it is back, or see «Host gone» in docs/ssh.md";
const unknown =
  "its steps may show as updates, and up tries them: go on without it by --exclude, or see «Host gone» in docs/ssh.md";

/** What the steps of a host that does not answer were told last, so that they do not change for that. Undefined where the state cannot be read. */
async function lastEpochs(
  name: string,
  parent: pulumi.Resource | undefined,
): Promise<Record<string, number> | undefined> {
  const last = await readLast();
  if (last === undefined) return undefined;
  const numbers = stepNames.map(async (step) => {
    const urn = pulumi.createUrn(`${name}-${suffixes[step]}`, "command:remote:Command", parent);
    // Not as an output: the step would then wait for its parent, which waits for its steps.
    const known = await new Promise<string>((done) => urn.apply(done));
    return [step, epochIn(`${last[known]?.create ?? ""}`)] as const;
  });
  return Object.fromEntries(await Promise.all(numbers));
}
