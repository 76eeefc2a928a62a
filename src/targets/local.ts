// SPDX-License-Identifier: Apache-2.0
import { spawn } from "node:child_process";
import { once } from "node:events";
import * as os from "node:os";
import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { promiseOf } from "../args/validation/outputs";
import { when } from "../args/validation/right";
import { shellLine } from "../commands/quote";
import { type Files, receiving } from "../commands/staged";
import { asRoot, asWords } from "./become";
import { deliver, deliverBefore } from "./deliver";
import { isMocked } from "./mocked";
import { withShortTrace } from "./short-trace";
import { type Step, type StepResource, type Target, usualMachine } from "./target";

/** The machine that runs Pulumi. `become` stands in front of every command; it may be empty. */
export function localTarget(become: pulumi.Output<string>, machine?: pulumi.Output<string | undefined>): Target {
  return {
    // A unit test sees the same on every developer's machine.
    machine: pulumi.output(machine).apply((given) => given ?? (isMocked() ? usualMachine : os.machine())),
    run: (name, step, opts) => runLocally(name, step, become, opts),
    deliver: (name, files, opts) =>
      deliverBefore(name, files, async (all) => sendLocally(await promiseOf(become), all), opts),
    answerOf: ({ stdout }) => stdout,
    look: (line, opts) => {
      const words = pulumi.all([become, line]).apply(([prefix, text]) => asRoot(prefix, text));
      const { stdout } = command.local.runOutput({ command: words, logging: command.local.Logging.None }, opts);
      return stdout.apply((printed) => ({ printed }));
    },
  };
}

function runLocally(
  name: string,
  step: Step,
  become: pulumi.Output<string>,
  opts: pulumi.CustomResourceOptions,
): StepResource {
  const line = pulumi
    .all([become, step.converge])
    .apply(([prefix, words]) => shellLine([...asWords(prefix), ...words]));
  const undo = pulumi.all([become, step.undo ?? ""]).apply(([prefix, text]) => asRoot(prefix, text));
  return withShortTrace(
    () =>
      new command.local.Command(
        name,
        {
          // There is no update command: the provider then runs create again, which converges.
          create: when(step.right, line),
          ...(step.undo === undefined ? {} : { delete: undo }),
          stdin: step.stdin,
          triggers: step.triggers,
          // stdout is for the next step; what people should see goes to stderr.
          logging: command.local.Logging.Stderr,
          addPreviousOutputInEnv: false,
        },
        { ...opts, deleteBeforeReplace: true, hideDiffs: step.hides },
      ),
  );
}

/** Resolves with the number of bytes sent. */
export async function sendLocally(become: string, files: Files): Promise<number> {
  const [program = "sh", ...words] = [...asWords(become), ...receiving(files).words];
  const child = spawn(program, words, { stdio: "pipe" });
  const { stdin, stdout, stderr } = child;
  const ended = once(child, "close").then(
    ([code]) => code as number | null,
    (error: NodeJS.ErrnoException) => {
      throw new Error(`cannot run ${program}: ${error.code}`);
    },
  );
  try {
    return await deliver({ stdin, stdout, stderr, ended }, files);
  } catch (error) {
    throw new Error(`this machine ${error instanceof Error ? error.message : error}`);
  } finally {
    // Closing stdin ends a command that waits for more, even behind a become that forwards no
    // signal.
    stdin.destroy();
    child.kill();
  }
}
