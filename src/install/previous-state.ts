// SPDX-License-Identifier: Apache-2.0
import * as pulumi from "@pulumi/pulumi";
import type { Right } from "../args/validation/right";
import { instanceIn, type LastStep } from "../commands/drift-report";
import { printable } from "../commands/printable";
import { suffixes } from "../commands/step-names";
import { type StepName, stepNames } from "../commands/verbs";
import { isMocked } from "../targets/mocked";

export type LastSteps = Readonly<Partial<Record<StepName, LastStep & { readonly triggers: readonly unknown[] }>>>;

/** The outputs of each resource by its URN. */
export type Last = Readonly<Record<string, Readonly<Record<string, unknown>> | undefined>>;

interface Read {
  readonly last: Last | undefined;
  readonly right: Right;
}

// By the run: a process may run a program again and again, and a component that another language
// makes has a monitor of its own.
const read = new WeakMap<object, Promise<Read>>();

/**
 * The state of this stack as it was when it was first asked for in this run; undefined where nobody
 * can be asked. Read once a run, and only when somebody asks, because it may be megabytes. Where it
 * could not be read, `readRight` fails.
 */
export async function readLast(): Promise<Last | undefined> {
  return (await readOnce()).last;
}

/**
 * Fails where the engine could not read the state: what a step keeps as it is stands there, so that
 * a run that went on without it might replace every step.
 */
export async function readRight(): Right {
  return await (await readOnce()).right;
}

function readOnce(): Promise<Read> {
  const monitor = pulumi.runtime.getMonitor();
  if (monitor === undefined) return Promise.resolve({ last: undefined, right: Promise.resolve(undefined) });
  const known = read.get(monitor) ?? ask();
  read.set(monitor, known);
  return known;
}

/**
 * The steps of a host as this stack last left them, those that it has; undefined where the state
 * cannot be read.
 */
export async function readLastSteps(name: string, instance: string): Promise<LastSteps | undefined> {
  const last = await readLast();
  if (last === undefined) return undefined;
  // By instance: another parent or a new name is another URN and no other step.
  const its = Object.entries(last).filter(([, one]) => instanceIn(`${one?.create ?? ""}`) === instance);
  const known = stepNames.flatMap((step) => {
    // A rename that failed half-way leaves both, and two parents of other types hosts of one name.
    const named = its.find(([urn]) => urn.endsWith(`::${name}-${suffixes[step]}`));
    const one = (named ?? its.find(([urn]) => urn.endsWith(`-${suffixes[step]}`)))?.[1];
    if (one === undefined) return [];
    const triggers: readonly unknown[] = Array.isArray(one.triggers) ? one.triggers : [];
    return [[step, { line: `${one.create ?? ""}`, answer: `${one.stdout ?? ""}`, triggers }]];
  });
  return Object.fromEntries(known);
}

/** A function of the engine itself, of all versions, with no wrapper in the SDK. */
async function ask(): Promise<Read> {
  const fine = Promise.resolve(undefined);
  let stackName = "";
  try {
    // Mocks may have no organization, which is an error.
    stackName = `${pulumi.getOrganization()}/${pulumi.getProject()}/${pulumi.getStack()}`;
  } catch (error) {
    await pulumi.log.debug(`the state cannot be asked for: ${error}`);
    return { last: undefined, right: fine };
  }
  try {
    const { outputs } = await pulumi.runtime.invoke("pulumi:pulumi:readStackResourceOutputs", { stackName });
    const all = (outputs ?? {}) as Record<string, { readonly outputs?: Record<string, unknown> }>;
    return { last: Object.fromEntries(Object.entries(all).map(([urn, one]) => [urn, one.outputs])), right: fine };
  } catch (error) {
    if (isMocked()) return { last: undefined, right: fine };
    const why = error instanceof Error ? error.message : `${error}`;
    const text = `socket-bypass: reading the state of this stack failed: ${printable(why)}; run it again`;
    return { last: undefined, right: Promise.resolve({ error: new pulumi.RunError(text) }) };
  }
}
