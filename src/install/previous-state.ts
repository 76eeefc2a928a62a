// SPDX-License-Identifier: Apache-2.0
import * as pulumi from "@pulumi/pulumi";
import type { Right } from "../args/validation/right";
import { instanceIn, type LastStep } from "../commands/drift-report";
import { printable } from "../commands/printable";
import { suffixes } from "../commands/step-names";
import { type StepName, stepNames } from "../commands/verbs";
import { isMocked } from "../targets/mocked";

export type LastSteps = Readonly<Partial<Record<StepName, LastStep & { readonly triggers: readonly unknown[] }>>>;

/** The outputs of each resource, by its URN. */
export type Last = Readonly<Record<string, Readonly<Record<string, unknown>> | undefined>>;

interface Read {
  readonly last?: Last;
  readonly wrong?: Awaited<Right>;
}

// What was read, by the monitor of the run: a process may run a program several times, and a
// component that a program in another language creates has a monitor of its own.
const read = new WeakMap<object, Promise<Read>>();

/**
 * The state of this stack as it was when this run first asked for it; undefined where there is no
 * engine to ask. It is read once in a run, and only on demand, because it may be megabytes. If
 * reading it failed, `readRight` fails.
 */
export async function readLast(): Promise<Last | undefined> {
  return (await readOnce()).last;
}

/**
 * Fails if the engine could not read the state. The state holds what a step must keep, so a run
 * that went on without it might replace every step.
 */
export async function readRight(): Right {
  return (await readOnce()).wrong;
}

function readOnce(): Promise<Read> {
  const monitor = pulumi.runtime.getMonitor();
  if (monitor === undefined) return Promise.resolve({});
  const known = read.get(monitor) ?? ask();
  read.set(monitor, known);
  return known;
}

/**
 * The steps of a host as this stack last left them, as far as they exist; undefined if the state
 * cannot be read.
 */
export async function readLastSteps(name: string, instance: string): Promise<LastSteps | undefined> {
  const last = await readLast();
  if (last === undefined) return undefined;
  // Finds steps by their instance, because another parent or a new name changes the URN of a step
  // but not the step.
  const its = Object.entries(last).filter(([, one]) => instanceIn(`${one?.create ?? ""}`) === instance);
  const known = stepNames.flatMap((step) => {
    // A rename that failed half-way leaves both names, and two parents of different types may have
    // hosts of the same name.
    const named = its.find(([urn]) => urn.endsWith(`::${name}-${suffixes[step]}`));
    const one = (named ?? its.find(([urn]) => urn.endsWith(`-${suffixes[step]}`)))?.[1];
    if (one === undefined) return [];
    const triggers: readonly unknown[] = Array.isArray(one.triggers) ? one.triggers : [];
    return [[step, { line: `${one.create ?? ""}`, answer: `${one.stdout ?? ""}`, triggers }]];
  });
  return Object.fromEntries(known);
}

const mostTries = 6;

/** Calls a function of the engine itself that all versions have and the SDK does not wrap. */
async function ask(): Promise<Read> {
  // The mocks of a unit test have no state, and would be asked for a function that no user knows.
  if (isMocked()) return {};
  const stackName = `${pulumi.getOrganization()}/${pulumi.getProject()}/${pulumi.getStack()}`;
  // A backend of files answers "EOF" to who reads while the engine writes.
  for (let tries = 1; ; tries++) {
    try {
      const { outputs } = await pulumi.runtime.invoke("pulumi:pulumi:readStackResourceOutputs", { stackName });
      const all = (outputs ?? {}) as Record<string, { readonly outputs?: Record<string, unknown> }>;
      return { last: Object.fromEntries(Object.entries(all).map(([urn, one]) => [urn, one.outputs])) };
    } catch (error) {
      if (tries < mostTries) {
        await new Promise((done) => setTimeout(done, 200 * tries));
        continue;
      }
      const why = error instanceof Error ? error.message : `${error}`;
      const text = `socket-bypass: reading the state of this stack failed: ${printable(why)}; run it again`;
      return { wrong: { error: new pulumi.RunError(text) } };
    }
  }
}
