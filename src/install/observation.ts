// SPDX-License-Identifier: Apache-2.0
import * as pulumi from "@pulumi/pulumi";
import { valueIfKnown } from "../args/validation/outputs";
import { withShortInspection } from "../args/validation/problem";
import { allRight, type Right } from "../args/validation/right";
import { type Advice, GainSource } from "../commands/advice";
import { foundInstead, readAdvice } from "../commands/advice-answer";
import { differences, findingsIn } from "../commands/advice-findings";
import { running } from "../commands/staged";
import { adviseOn, type Policy } from "../commands/verbs";
import { isMocked } from "../targets/mocked";
import type { StepResource } from "../targets/target";
import { asList, type Ended, stepSeconds, type Wanted } from "./host-steps";

/** How a host is observed. */
export interface Observing {
  readonly seconds: pulumi.Output<number>;
  readonly rerun: pulumi.Output<string>;
}

export interface Observed extends Ended {
  /** Undefined where nothing has looked yet, because --target or --exclude leaves the step out. */
  readonly advice: pulumi.Output<Advice | undefined>;
}

/**
 * Creates the step that looks at a host. It runs from files that are sent for it and removed at its
 * end, so it has nothing to undo. If the host is also installed, its first step comes after this
 * one: the advice is about traffic without the bypass, and both steps use the same folder.
 */
export function observeHost({ name, target, identity, args, files, opts, after }: Wanted, how: Observing): Observed {
  const { instance } = identity;
  const { bundle, delivery } = files;
  const right = allRight([args.right, delivery.right, ...after.map((one) => one.right)]);
  const last = target.run(
    `${name}-observe`,
    {
      right,
      converge: pulumi
        .all([args.stateDir, bundle, how.seconds])
        .apply(([stateDir, { digest }, seconds]) => adviseOn({ stateDir, instance }, digest, seconds)),
      // The note makes another text, and another text runs the step again.
      stdin: pulumi
        .all([args.stateDir, bundle, how.rerun])
        .apply(([stateDir, { digest }, rerun]) => running({ stateDir, instance }, digest, rerun)),
      triggers: [args.machineId, instance, args.stateDir],
      hides: ["stdin"],
      seconds: how.seconds.apply((seconds) => stepSeconds + seconds),
    },
    { ...delivery.opts, dependsOn: [...after.map((one) => one.last), ...asList(opts.dependsOn)] },
  );
  return {
    ...{ last, right, advice: last.stdout.apply(readIfThere) },
    // Asked only if the arguments are right: otherwise the step is never registered, and never
    // answers.
    shown: right.then((wrong) => wrong ?? isAdvice(last)),
  };
}

/** The mocks of a unit test print nothing, and neither does a step that the engine leaves out. */
function readIfThere(printed: string | undefined): Advice | undefined {
  return printed === undefined ? undefined : readAdvice(`${printed}`);
}

/**
 * What a program is given. A unit test whose mocks print no advice is given one without services.
 */
export function adviceFor({ advice }: Observed): pulumi.Output<Advice | undefined> {
  return advice.apply((seen) => seen ?? (isMocked() ? nothingSeen : undefined));
}

const nothingSeen: Advice = {
  ...{ seconds: 0, kernel: "", machine: "", gainFrom: GainSource.Table, namespaces: 0, sockets: 0 },
  ...{ services: [], traffic: { ports: [] } },
};

/** Fails if a host answered, and not with advice. */
export async function isAdvice(step: StepResource): Right {
  const printed = await valueIfKnown(step.stdout);
  if (printed === undefined || isMocked() || readAdvice(printed) !== undefined) return undefined;
  const text =
    `expected the host to answer with its advice, found ${foundInstead(printed)}; correct what makes sshd force another command ` +
    "(ForceCommand, or command= in authorized_keys), if anything does, then give observe another rerun";
  return { error: withShortInspection(new pulumi.ResourceError(text, step, true)) };
}

/**
 * Tells what a host's advice says: without traffic what would gain, and with traffic where it
 * differs.
 */
export function tellAdvice(
  { advice }: Observed,
  policy: pulumi.Output<Policy> | undefined,
  resource: pulumi.Resource,
): void {
  if (policy === undefined) {
    advice.apply(async (seen) => seen && (await pulumi.log.info(`observe: ${findingsIn(seen)}`, resource)));
    return;
  }
  pulumi.all([advice, policy]).apply(async ([seen, declared]) => {
    if (seen === undefined) return;
    // The ports would tell what the secret is.
    const isSecret = await pulumi.isSecret(policy);
    const found = isSecret ? [secretly] : differences(seen, declared);
    for (const text of found) await pulumi.log.warn(`observe: ${text}`, resource);
  });
}

const secretly = "traffic is a secret, so it is not compared here; compare it with the output advice";
