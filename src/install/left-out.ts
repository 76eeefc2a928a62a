// SPDX-License-Identifier: Apache-2.0
import * as pulumi from "@pulumi/pulumi";
import { withShortInspection } from "../args/validation/problem";
import type { Right } from "../args/validation/right";
import { wordIn } from "../commands/drift-report";
import { promiseOf } from "../targets/deliver";
import type { StepResource } from "../targets/target";

/**
 * Wrong where --target or --exclude leaves out the step before one of a new generation, whose files
 * are not on the host then: sh would say that it cannot open the script. The engine answers with
 * what it keeps of a step that is left out, also in a preview; a hook would say the same and cost
 * every step of the state its name.
 */
export async function isNotLeftOut(
  before: StepResource,
  its: {
    readonly name: string;
    readonly generation: pulumi.Output<string>;
    readonly parent: pulumi.Resource | undefined;
  },
): Right {
  const [line, urn, generation] = await Promise.all([known(before.create), known(before.urn), known(its.generation)]);
  const found = line === undefined ? undefined : wordIn(line, "--generation");
  if (found === undefined || generation === undefined || found === generation) return undefined;
  const text =
    `the steps of ${its.name}: expected ${urn?.split("::").at(-1)} to have run for generation ${generation} before those behind it, ` +
    `found ${found}, because --target or --exclude leaves it out; type: pulumi up --target '**::${its.name}-*'`;
  return { error: withShortInspection(new pulumi.ResourceError(text, its.parent, true)) };
}

/** A preview does not know all of it. The SDK has no public word for either. */
async function known<T>(output: pulumi.Output<T>): Promise<T | undefined> {
  const { isKnown } = output as unknown as { readonly isKnown: Promise<boolean> };
  return (await isKnown.catch(() => false)) ? await promiseOf(output).catch(() => undefined) : undefined;
}
