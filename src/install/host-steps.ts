// SPDX-License-Identifier: Apache-2.0
import * as pulumi from "@pulumi/pulumi";
import { allRight, type Right } from "../args/validation/right";
import { deleteLine, deleteStepLine } from "../commands/delete";
import { serialTextIn } from "../commands/drift-report";
import type { Identity } from "../commands/identity";
import type { SelfTestResult } from "../commands/self-test";
import { running } from "../commands/staged";
import { suffixes } from "../commands/step-names";
import {
  attachCgroup,
  attachVerdict,
  createMap,
  type Installation,
  installObject,
  loadProgram,
  runSelfTest,
  type StepName,
  setPolicy,
} from "../commands/verbs";
import { isMocked } from "../targets/mocked";
import type { StepResource, Target } from "../targets/target";
import { lookForDrift } from "./drift";
import type { HostFiles } from "./host-files";
import { isNotRefused, refusal, whatIsLeftOut } from "./left-out";
import type { Normalized } from "./normalize";
import { type LastSteps, readLastSteps, readRight } from "./previous-state";
import { isSelfTest, selfTestOf } from "./self-test";

/**
 * Allows two minutes of waiting for another run on the host, and three minutes for the step itself,
 * which needs seconds.
 */
export const stepSeconds = 300;

/** Steps of a host, for what must wait for them. */
export interface Ended {
  /**
   * The last step: all others have ended before it. If the arguments are wrong, it never begins,
   * and nobody should wait for it.
   */
  readonly last: pulumi.Resource;
  /** Whether its arguments are right and its files can be sent. */
  readonly right: Right;
  /** The same, and in a preview also that no step shows that it would be refused. */
  readonly shown: Right;
}

/**
 * What the steps of a host create. These outputs do not wait until the arguments are known to be
 * right: only a property near the end of the chain may fail with them.
 */
export interface Installed extends Ended {
  readonly generation: pulumi.Output<string>;
  /** Undefined where it has not run yet, because --target or --exclude leaves it out. */
  readonly selfTest: pulumi.Output<SelfTestResult | undefined>;
}

type Words = (on: Installation) => readonly string[];

/** What the steps of one host need. */
export interface Wanted {
  /** The names of the steps begin with it. */
  readonly name: string;
  readonly target: Target;
  readonly identity: Identity;
  readonly args: Normalized;
  readonly files: HostFiles;
  readonly opts: pulumi.CustomResourceOptions;
  /** Steps that must succeed before the first step begins. */
  readonly after: readonly Ended[];
}

/**
 * Creates the steps of one host in the order in which they run. Each begins when the one before it
 * has ended.
 */
export function installSteps({ name, target, identity, args, files, opts, after }: Wanted): Installed {
  const { instance, owner } = identity;
  const { bundle, delivery, generation } = files;
  const right = allRight([args.right, delivery.right, readRight(), ...after.map((one) => one.right)]);
  // In a unit test there is no host to look at.
  const looks = args.detectDrift && !isMocked();
  const found = looks
    ? lookForDrift(name, target, instance, args.stateDir, opts.parent)
    : pulumi.output({ epochs: {} });
  const on = pulumi.all([args.stateDir, generation, found]).apply(([stateDir, id, { epochs }]) => ({
    ...{ stateDir, instance, owner, generation: id, epochs },
  }));
  const removal = (make: typeof deleteLine, ...words: string[]) =>
    args.stateDir.apply((stateDir) => make({ stateDir, instance, owner }, ...words));
  const place = [args.machineId, pulumi.output(instance)];
  const last = readLastSteps(name, instance);

  const shown: Right[] = [];
  /**
   * Makes one link of the chain. It runs again when `before` answers something new, and is replaced
   * when `before` is.
   */
  const link = (
    step: StepName,
    before: StepResource,
    converge: pulumi.Input<readonly string[]>,
    undoLine?: pulumi.Output<string>,
    { dependsOn = [], limit = stepSeconds }: { dependsOn?: StepResource[]; limit?: pulumi.Input<number> } = {},
  ): StepResource => {
    const leftOut = whatIsLeftOut(name, [before, ...dependsOn], generation);
    const made = target.run(
      `${name}-${suffixes[step]}`,
      {
        right,
        converge: pulumi.all([converge, leftOut]).apply(([typed, text]) => (text ? refusal(text) : typed)),
        ...(undoLine === undefined ? {} : { undo: undoLine }),
        stdin: target.answerOf(before).apply((said) => said && (serialTextIn(said) || said)),
        // The trigger depends on the URN of the step before, so that the engine replaces both
        // together.
        triggers: last.then((known) =>
          triggersOf(
            known,
            step,
            place,
            before.urn.apply(() => args.stateDir),
          ),
        ),
        hides: [],
        seconds: limit,
      },
      { ...delivery.later, dependsOn: [before, ...dependsOn, ...asList(opts.dependsOn)] },
    );
    shown.push(isNotRefused(made, leftOut, opts.parent));
    return made;
  };
  const words = (make: Words) => on.apply(make);

  const object = target.run(
    `${name}-${suffixes.object}`,
    {
      right,
      converge: pulumi
        .all([on, bundle, args.cgroup, args.takeOver, args.boot, args.spliceGuard])
        .apply(([installation, sent, cgroup, takeOver, boot, spliceGuard]) =>
          installObject(installation, sent, { cgroup, takeOver, boot, spliceGuard }),
        ),
      undo: removal(deleteLine, "object", "remove"),
      stdin: pulumi
        .all([args.stateDir, bundle])
        .apply(([stateDir, { digest }]) => running({ stateDir, instance }, digest)),
      triggers: [...place, args.stateDir],
      hides: ["stdin"],
      seconds: stepSeconds,
    },
    // Only the first step depends on the hosts before this one: the other steps wait for it, and
    // with a hundred hosts the dependencies of every step would fill the state.
    after.length === 0
      ? delivery.opts
      : { ...delivery.opts, dependsOn: [...after.map((one) => one.last), ...asList(opts.dependsOn)] },
  );
  const map = link(
    "map",
    object,
    pulumi.all([on, args.size]).apply(([installation, size]) => createMap(installation, size)),
    removal(deleteStepLine, "map", "remove"),
  );
  const track = link(
    "track",
    map,
    words((installation) => loadProgram(installation, "track")),
    removal(deleteStepLine, "program", "unload", "track"),
  );
  const redirect = link(
    "redirect",
    track,
    words((installation) => loadProgram(installation, "redirect")),
    removal(deleteStepLine, "program", "unload", "redirect"),
  );
  const verdict = link("verdict", redirect, words(attachVerdict), removal(deleteStepLine, "verdict", "detach"));
  const selfTest = link(
    "selftest",
    verdict,
    pulumi
      .all([on, args.selfTest, args.spliceGuard])
      .apply(([installation, want, spliceGuard]) => runSelfTest(installation, { ...want, spliceGuard })),
    undefined,
    { limit: args.selfTest.apply(({ timeoutSeconds }) => stepSeconds + timeoutSeconds) },
  );
  shown.push(isSelfTest(selfTest, target.answerOf(selfTest)));
  const policy = link(
    "policy",
    selfTest,
    pulumi.all([on, args.policy]).apply(([installation, want]) => setPolicy(installation, want)),
  );
  // The attachment follows the self-test, not the policy: a changed policy is live at once, and
  // nothing has to be attached again.
  const attachment = link(
    "attach",
    selfTest,
    pulumi
      .all([on, args.cgroup, args.takeOver, args.adopt, args.spliceGuard, args.boot])
      .apply(([installation, cgroup, takeOver, adopt, spliceGuard, boot]) =>
        attachCgroup(installation, { cgroup, takeOver, adopt, spliceGuard, boot }),
      ),
    removal(deleteLine, "detach"),
    { dependsOn: [policy] },
  );
  return {
    generation,
    selfTest: selfTestOf(target.answerOf(selfTest)),
    last: attachment,
    right,
    // Asked only if the arguments are right: a step with wrong ones is never registered, and never
    // answers.
    shown: right.then((wrong) => wrong ?? allRight(shown)),
  };
}

/**
 * The triggers of a step that is not the first. The step is replaced when the step before it is,
 * which the engine sees by what `inherited` depends on. Earlier versions of the package repeated
 * the first step's `place` in each step, and still earlier ones the id of the step before. A stack
 * with such a list keeps it, because another list would replace everything.
 */
function triggersOf(
  known: LastSteps | undefined,
  step: StepName,
  place: readonly pulumi.Input<string>[],
  inherited: pulumi.Input<string>,
): pulumi.Input<string>[] {
  const had = known?.[step]?.triggers;
  if (had === undefined || had.length <= 1) return [inherited];
  return [...place, inherited, ...had.slice(place.length + 1).map((one) => `${one}`)];
}

export function asList(resources: pulumi.CustomResourceOptions["dependsOn"]): pulumi.Resource[] {
  return resources === undefined ? [] : ([resources].flat() as pulumi.Resource[]);
}
