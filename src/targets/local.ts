// SPDX-License-Identifier: Apache-2.0
import * as os from "node:os";
import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { quote, shellLine } from "../host/quote";
import type { Step, StepResource, Target } from "./target";

/** The machine that runs Pulumi. become stands in front of every command; empty for none. */
export function localTarget(become: pulumi.Output<string>): Target {
  return {
    machine: os.machine(),
    run: (name, step, opts) => runLocally(name, step, become, opts),
  };
}

function runLocally(
  name: string,
  step: Step,
  become: pulumi.Output<string>,
  opts: pulumi.CustomResourceOptions,
): StepResource {
  const line = pulumi.all([become, step.converge]).apply(([prefix, words]) => `${asPrefix(prefix)}${shellLine(words)}`);
  const undo = pulumi
    .all([become, step.undo ?? ""])
    .apply(([prefix, text]) => (prefix ? `${asPrefix(prefix)}sh -c ${quote(text)}` : text));
  return new command.local.Command(
    name,
    {
      create: line,
      update: line,
      ...(step.undo === undefined ? {} : { delete: undo }),
      stdin: step.stdin,
      triggers: step.triggers,
      // stdout is for the next step; what people should see goes to stderr.
      logging: command.local.Logging.Stderr,
      addPreviousOutputInEnv: false,
    },
    { ...opts, deleteBeforeReplace: true, hideDiffs: step.hides },
  );
}

function asPrefix(become: string): string {
  return become === "" ? "" : `${become} `;
}
