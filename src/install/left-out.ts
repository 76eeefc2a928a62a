// SPDX-License-Identifier: Apache-2.0
import * as pulumi from "@pulumi/pulumi";
import { valueIfKnown } from "../args/validation/outputs";
import { withShortInspection } from "../args/validation/problem";
import type { Right } from "../args/validation/right";
import { wordIn } from "../commands/drift-report";
import { quote } from "../commands/quote";
import type { StepResource } from "../targets/target";

const reason = "because --target or --exclude leaves it out";

/**
 * What is wrong where --target or --exclude leaves out a step before one of a new generation, whose
 * files are not on the host then: sh would say that it cannot open the script. The engine answers
 * with what it keeps of a step that is left out, also in a preview. A hook would say the same, and
 * cost each step of the state its name.
 */
export async function whatIsLeftOut(
  name: string,
  before: readonly StepResource[],
  generation: pulumi.Output<string>,
): Promise<string | undefined> {
  for (const step of before) {
    const [line, urn, wanted] = await Promise.all([step.create, step.urn, generation].map(valueIfKnown));
    const found = line === undefined ? undefined : wordIn(line, "--generation");
    if (found === undefined || wanted === undefined || found === wanted) continue;
    return (
      `the steps of ${name}: expected ${urn?.split("::").at(-1)} to have run for generation ${wanted} before those behind it, ` +
      `found ${found}, ${reason}; type: pulumi up --target '**::${name}-*'`
    );
  }
  return undefined;
}

/**
 * What a step runs instead of its line. The program does not know whether the engine leaves out
 * this step too; if so, the engine ignores the line, and nothing is wrong.
 */
export function refusal(leftOut: string): string[] {
  return ["sh", "-c", `echo ${quote(`socket-bypass: ${leftOut}`)} >&2; exit 1`];
}

/**
 * Fails a preview that shows that a step would be refused. In an update the step itself says so.
 */
export async function isNotRefused(
  step: StepResource,
  leftOut: Promise<string | undefined>,
  parent: pulumi.Resource | undefined,
): Right {
  if (!pulumi.runtime.isDryRun()) return undefined;
  const text = await leftOut;
  if (text === undefined || !(await valueIfKnown(step.create))?.includes(reason)) return undefined;
  return { error: withShortInspection(new pulumi.ResourceError(text, parent, true)) };
}
