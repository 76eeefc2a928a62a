// SPDX-License-Identifier: Apache-2.0
import type * as pulumi from "@pulumi/pulumi";
import type { Right } from "../args/validation/right";
import type { Files } from "../commands/staged";

/** One step of an installation: what to type to make it so, and what to type to undo it. */
export interface Step {
  /** Fails where the step must not begin. */
  readonly right: Right;
  /** Idempotent: also what an update types. */
  readonly converge: pulumi.Input<readonly string[]>;
  /** Undoes this step and all later ones; absent where there is nothing to undo. */
  readonly undo?: pulumi.Input<string>;
  /** The answer of the step before: a change runs the step again. The first reads what it runs. */
  readonly stdin: pulumi.Input<string>;
  /** Another value removes everything from the old place and installs it anew. */
  readonly triggers: pulumi.Input<pulumi.Input<string>[]>;
  /** What to leave out of previews. */
  readonly hides: string[];
  /** How long it may take, at a host that may not answer any more. */
  readonly seconds: pulumi.Input<number>;
}

/** A step as the engine keeps it. */
export interface StepResource extends pulumi.CustomResource {
  readonly stdout: pulumi.Output<string>;
  /** The line that it ran last; that of a run before this one, where --target leaves it out. */
  readonly create: pulumi.Output<string | undefined>;
}

export interface Delivery {
  readonly opts: pulumi.CustomResourceOptions;
  /** Fails with an engine that cannot. */
  readonly right: Right;
}

/** A place where commands run. */
export interface Target {
  /** What `uname -m` says there. */
  readonly machine: pulumi.Output<string>;
  run(name: string, step: Step, opts: pulumi.CustomResourceOptions): StepResource;
  /** Brings files there just before a step is created or updated that has these options. */
  deliver(name: string, files: () => Promise<Files>, opts: pulumi.CustomResourceOptions): Delivery;
  /** What a step answered: one line. */
  answerOf(step: StepResource): pulumi.Output<string>;
  /** What a line prints there, in a preview too; the line must not fail. */
  look(line: pulumi.Input<string>, opts: pulumi.InvokeOptions): pulumi.Output<Looked>;
}

export interface Looked {
  readonly printed: string;
  /** Why the place could not be looked at, as what it does: "does not answer". */
  readonly problem?: string;
  /** A preview cannot know the place yet, which is no problem. */
  readonly isEarly?: boolean;
}
