// SPDX-License-Identifier: Apache-2.0
import type * as pulumi from "@pulumi/pulumi";
import type { Right } from "../args/validation/right";
import type { Files } from "../commands/staged";

/** Assumed if no machine type is declared; the script refuses another machine. */
export const usualMachine = "x86_64";

/** One step of an installation: the words that converge it, and the line that undoes it. */
export interface Step {
  /** Gives an error if the step must not begin. */
  readonly right: Right;
  /** Idempotent words, which an update runs too. */
  readonly converge: pulumi.Input<readonly string[]>;
  /** A line that undoes this step and all later ones; absent if there is nothing to undo. */
  readonly undo?: pulumi.Input<string>;
  /**
   * The answer of the step before, so that a change of it runs this step again. The first step
   * reads the text that it runs.
   */
  readonly stdin: pulumi.Input<string>;
  /** A changed value removes everything from the old place and installs it again. */
  readonly triggers: pulumi.Input<pulumi.Input<string>[]>;
  /** The properties to leave out of previews. */
  readonly hides: string[];
  /** How long the step may take, because the host may stop answering. */
  readonly seconds: pulumi.Input<number>;
}

/** A step as the engine keeps it in the state. */
export interface StepResource extends pulumi.CustomResource {
  readonly stdout: pulumi.Output<string>;
  /**
   * The line that the step ran last; if --target leaves the step out, the line of an earlier run.
   */
  readonly create: pulumi.Output<string | undefined>;
}

export interface Delivery {
  readonly opts: pulumi.CustomResourceOptions;
  /** For the other steps: if the first one does not run, they look whether the target answers. */
  readonly later: pulumi.CustomResourceOptions;
  /** Gives an error if the engine has no hooks, or the files cannot be made. */
  readonly right: Right;
}

/** A place where commands run, such as this machine or a host behind SSH. */
export interface Target {
  /** What `uname -m` prints on the target. */
  readonly machine: pulumi.Output<string>;
  run(name: string, step: Step, opts: pulumi.CustomResourceOptions): StepResource;
  /**
   * Brings files to the target just before a step with the returned options is created or updated.
   */
  deliver(name: string, files: () => Promise<Files>, opts: pulumi.CustomResourceOptions): Delivery;
  /** The answer of a step, which is one line. */
  answerOf(step: StepResource): pulumi.Output<string>;
  /** What a line prints on the target, in a preview too; the line must not fail. */
  look(line: pulumi.Input<string>, opts: pulumi.InvokeOptions): pulumi.Output<Looked>;
}

export interface Looked {
  readonly printed: string;
  /** Why the target could not be looked at, told as what it does: "does not answer". */
  readonly problem?: string;
  /** Set if a preview cannot know the target yet, which is no problem. */
  readonly isEarly?: boolean;
}
