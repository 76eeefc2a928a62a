// SPDX-License-Identifier: Apache-2.0
import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { isKnown, promiseOf } from "../args/validation/outputs";
import { withShortInspection } from "../args/validation/problem";
import { when } from "../args/validation/right";
import { shellLine } from "../commands/quote";
import { type Files, receiving } from "../commands/staged";
import { asWords } from "./become";
import { limitConcurrency } from "./concurrency";
import { deliverBefore, receiveSeconds } from "./deliver";
import { isMocked } from "./mocked";
import { withShortTrace } from "./short-trace";
import type { Connection } from "./ssh-client";
import { lookBySsh, lookSeconds } from "./ssh-look";
import { reachBySsh, sendBySsh } from "./ssh-send";
import { type Looked, type Step, type StepResource, type Target, usualMachine } from "./target";

/**
 * The time between asking a line to stop, so that it can undo what it has half done, and killing
 * it.
 */
const graceSeconds = 10;

const inTurn = limitConcurrency((done, asked) => `drift: looked at ${done} of ${asked} hosts`);

/**
 * A machine that is reached by SSH. The user's login shell reads the lines, so each is one plain
 * command that any shell understands.
 */
export function sshTarget(
  connection: pulumi.Output<Connection>,
  become: pulumi.Output<string>,
  machine: pulumi.Output<string | undefined>,
): Target {
  return {
    machine: machine.apply((given) => given ?? usualMachine),
    run: (name, step, opts) => runRemotely(name, step, connection, become, opts),
    deliver: (name, files, opts) =>
      deliverBefore(
        name,
        files,
        (all) => send(connection, become, all),
        opts,
        () => reach(connection, become),
      ),
    answerOf: (step) => step.stdout.apply((printed) => readAnswer(printed, step)),
    look: (line) => look(connection, become, line),
  };
}

function look(
  connection: pulumi.Output<Connection>,
  become: pulumi.Output<string>,
  line: pulumi.Input<string>,
): pulumi.Output<Looked> {
  const all = pulumi.all([connection, become, line]);
  const looked = all.apply(([way, prefix, text]) =>
    inTurn(() => lookBySsh(way, boundedLine(prefix, lookSeconds, ["sh", "-c", text]))).then(
      (printed): Looked => ({ printed }),
      (error: Error): Looked => ({ printed: "", problem: error.message }),
    ),
  );
  // A preview may not know the address, and every line of the host would become unknown with it.
  const isReachable = isKnown(all);
  // The result is not an output of the connection: the connection is secret, but what the host
  // answers is not, and lines that depend on a machine in up but not in its preview break the plan.
  return pulumi.output(isReachable.then((is) => (is ? promiseOf(looked) : { printed: "", isEarly: true })));
}

/** Fails if the host does not run a command within a bounded time. */
async function reach(connection: pulumi.Output<Connection>, become: pulumi.Output<string>): Promise<void> {
  const [way, prefix] = await promiseOf(pulumi.all([connection, become]));
  await reachBySsh(way, boundedLine(prefix, lookSeconds, ["true"])).catch((error: Error) => {
    throw new Error(`the host ${error.message}`);
  });
}

async function send(
  connection: pulumi.Output<Connection>,
  become: pulumi.Output<string>,
  files: Files,
): Promise<number> {
  const [way, prefix] = await promiseOf(pulumi.all([connection, become]));
  const line = boundedLine(prefix, receiveSeconds, receiving(files).words);
  return await sendBySsh(way, line, files).catch((error: Error) => {
    throw new Error(`the host ${error.message}`);
  });
}

function runRemotely(
  name: string,
  step: Step,
  connection: pulumi.Output<Connection>,
  become: pulumi.Output<string>,
  opts: pulumi.CustomResourceOptions,
): StepResource {
  const bounded = (words: pulumi.Input<readonly string[]>) =>
    pulumi.all([become, step.seconds, words]).apply(([prefix, seconds, typed]) => boundedLine(prefix, seconds, typed));
  return withShortTrace(
    () =>
      new command.remote.Command(
        name,
        {
          connection,
          // There is no update command: the provider then runs create again, which converges.
          create: when(step.right, bounded(step.converge)),
          ...(step.undo === undefined
            ? {}
            : { delete: bounded(pulumi.output(step.undo).apply((line) => ["sh", "-c", line])) }),
          stdin: step.stdin,
          triggers: step.triggers,
          // stdout is for the next step; what people should see goes to stderr.
          logging: command.remote.Logging.Stderr,
          // Most servers accept no environment variables, and the command would then fail or warn.
          addPreviousOutputInEnv: false,
        },
        { ...opts, deleteBeforeReplace: true, hideDiffs: step.hides },
      ),
  );
}

/** The bound stands behind become, because a plain user could not stop what root runs. */
export function boundedLine(become: string, seconds: number, words: readonly string[]): string {
  return shellLine([...asWords(become), "timeout", "-k", `${graceSeconds}`, `${seconds}`, ...words]);
}

/**
 * Takes the last line, because some login shells print something of their own first. The answer is
 * checked because a server that runs another command than it was told also exits with 0.
 */
function readAnswer(printed: string | undefined, step: pulumi.Resource): string {
  // A step that --target leaves out has not answered yet.
  if (printed === undefined) return "";
  const line = `${printed}`.trimEnd().split("\n").at(-1) ?? "";
  if (isAnswer(line)) return line;
  // The mocks of a unit test answer nothing, or anything.
  if (isMocked()) return "";
  const text =
    "expected the host to answer with the serial of this step, found another answer, so the step did not run; correct what makes sshd force another command " +
    "(ForceCommand, or command= in authorized_keys) or lose its exit status, then type: pulumi up --replace URN-OF-THIS-STEP";
  throw withShortInspection(new pulumi.ResourceError(text, step, true));
}

/**
 * Whether a line is an answer. It goes on to the next step and into the state. The longest answer
 * is the result of a self-test, with less than 2 KiB.
 */
export function isAnswer(line: string): boolean {
  // The script answers in plain ASCII, and nothing else may reach the terminals that show the
  // output.
  if (line.length > 16384 || !/^[ -~]*$/.test(line)) return false;
  if (/^\d{1,16}( left=\d{1,16} unread=\d{1,16})?$/.test(line)) return true;
  if (!/^\{"serial":\d{1,16},.*\}$/.test(line)) return false;
  try {
    JSON.parse(line);
    return true;
  } catch {
    return false;
  }
}
