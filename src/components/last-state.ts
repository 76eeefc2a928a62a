// SPDX-License-Identifier: Apache-2.0
import * as pulumi from "@pulumi/pulumi";

/** The outputs of each resource by its URN. */
export type Last = Readonly<Record<string, Readonly<Record<string, unknown>> | undefined>>;

// By the run: a process may run a program again and again.
const read = new WeakMap<pulumi.Resource, Promise<Last | undefined>>();

/**
 * The state of this stack as it was when it was first asked for in this run; undefined where the engine does not tell. Read once a run, and only when somebody asks, because it
 * may be megabytes.
 */
export function readLast(): Promise<Last | undefined> {
  const stack = pulumi.runtime.getStackResource();
  if (stack === undefined) return Promise.resolve(undefined);
  const known = read.get(stack) ?? ask();
  read.set(stack, known);
  return known;
}

/** A function of the engine itself, of all versions, with no wrapper in the SDK. */
async function ask(): Promise<Last | undefined> {
  const stackName = `${pulumi.getOrganization()}/${pulumi.getProject()}/${pulumi.getStack()}`;
  try {
    const { outputs } = await pulumi.runtime.invoke("pulumi:pulumi:readStackResourceOutputs", { stackName });
    const all = outputs as Record<string, { readonly outputs?: Record<string, unknown> }>;
    return Object.fromEntries(Object.entries(all).map(([urn, one]) => [urn, one.outputs]));
  } catch (error) {
    await pulumi.log.debug(`drift: the state cannot be read: ${error}`);
    return undefined;
  }
}
