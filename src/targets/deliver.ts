// SPDX-License-Identifier: Apache-2.0
import { AsyncResource } from "node:async_hooks";
import type { Readable, Writable } from "node:stream";
import * as pulumi from "@pulumi/pulumi";
import { allRight, type Right } from "../args/validation/right";
import { printable } from "../commands/printable";
import { type Files, receiving } from "../commands/staged";
import { limitConcurrency } from "./concurrency";
import { currentRun } from "./current-run";
import { isMocked } from "./mocked";
import { patience } from "./patience";
import type { Delivery } from "./target";

/** How long a target may take to run our command and print its first line. */
export const answerSeconds = 30 * patience;
/** How long the target may then take to receive the files. */
const sendSeconds = 120 * patience;
/**
 * The bound that the target itself puts on the receiving command, in case the connection breaks
 * without notice.
 */
export const receiveSeconds = answerSeconds + sendSeconds;

/**
 * A command that runs on a target. `ended` resolves with its exit status, or with null or undefined
 * if it was killed.
 */
export interface Running {
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  readonly ended: Promise<number | null | undefined>;
}

/**
 * Sends the files and resolves with the number of bytes sent, 0 if the files were there already.
 * Its errors say what the target does: "gives no answer within 30 s".
 */
export type Send = (files: Files) => Promise<number>;

const inTurn = limitConcurrency((done) => `files: done with ${done} hosts`);

/**
 * Sends the files in a resource hook, which runs in this process and never in a preview. A destroy
 * does not need the program for it. An error of the hook names `name`. With `reach`, which finds
 * out whether a target answers within a bounded time, a run in which the first step does not change
 * looks before the first one that does: the provider would wait forever for a target that hangs.
 */
export function deliverBefore(
  name: string,
  files: () => Promise<Files>,
  send: Send,
  opts: pulumi.CustomResourceOptions,
  reach?: () => Promise<unknown>,
): Delivery {
  // The mocks of a unit test have no engine that could call a hook.
  if (isMocked("registerResourceHook")) return { opts, later: opts, right: Promise.resolve(undefined) };
  const { parent } = opts;
  let isReached = false;
  const run = async () => {
    const sent = await inTurn(async () => await send(await files()));
    isReached = true;
    if (sent > 0)
      pulumi.log.info(`files: ${Math.ceil(sent / 1024)} KiB sent`, parent, undefined, true).catch(() => undefined);
  };
  const hook = makeHook(`files for ${name}`, run);
  const sending = { ...opts, hooks: { beforeCreate: [hook], beforeUpdate: [hook] } };
  if (reach === undefined) return { opts: sending, later: opts, right: registered(hook, parent) };
  const look = makeHook(`look at ${name}`, async () => {
    // One look is enough for all steps of a run. The engine bounds how many hooks run at once.
    if (!isReached) await reach();
    isReached = true;
  });
  return {
    opts: sending,
    later: { ...opts, hooks: { beforeCreate: [look], beforeUpdate: [look] } },
    right: allRight([registered(hook, parent), registered(look, parent)]),
  };
}

/**
 * The SDK finds the engine by the async context of its caller but calls a hook in another context,
 * so the hook is bound to this one.
 */
function makeHook(name: string, run: () => Promise<void>): pulumi.ResourceHook {
  return new pulumi.ResourceHook(unusedName(name), AsyncResource.bind(run));
}

/**
 * Waits for the registration of a hook, for which the SDK has no public function. The SDK would
 * report a failure of it with a stack trace, once for each host.
 */
function registered(hook: pulumi.ResourceHook, parent: pulumi.Resource | undefined): Right {
  const its = hook as unknown as { __registered: Promise<void> };
  const right = its.__registered.then(
    () => undefined,
    (error: unknown) => ({ error: new pulumi.ResourceError(`${withoutHooks}, found: ${error}`, parent, true) }),
  );
  its.__registered = right.then(() => undefined);
  return right;
}

const withoutHooks =
  "socket-bypass: expected an engine that has resource hooks, by which the files reach a host: a Pulumi CLI of 3.182 or newer";

// How often each name was used, by the run of the engine, which takes each name once.
const used = new WeakMap<object, Map<string, number>>();

/**
 * Two components of one name may have parents of different types, so a number makes the names
 * unique.
 */
function unusedName(name: string): string {
  const run = currentRun();
  if (run === undefined) return name;
  const mine = used.get(run) ?? new Map<string, number>();
  used.set(run, mine);
  const before = mine.get(name) ?? 0;
  mine.set(name, before + 1);
  return `${name}${before === 0 ? "" : ` (${before + 1})`}`;
}

/** Talks to host/script/receive.sh. If this fails, the caller ends the command. */
export async function deliver(running: Running, files: Files): Promise<number> {
  const { stdin, stdout, stderr, ended } = running;
  let [sent, late] = [0, undefined as NodeJS.Timeout | undefined];
  const said: string[] = [];
  // A login shell may print a lot, and our own message can only be at the end.
  stderr.on("data", (chunk: Buffer) => said.splice(0, said.length, `${said.join("")}${chunk}`.slice(-4096)));
  try {
    return await new Promise<number>((done, fail) => {
      const within = (seconds: number) => {
        clearTimeout(late);
        late = setTimeout(() => fail(new Error(`gives no answer within ${seconds} s`)), seconds * 1000);
      };
      within(answerSeconds);
      let [rest, isThere] = ["", false];
      stdout.on("data", (chunk: Buffer) => {
        const lines = `${rest}${chunk}`.slice(-65536).split("\n");
        rest = lines.pop() ?? "";
        if (sent === 0 && lines.includes(`wants ${files.digest}`)) {
          sent = files.packed.length;
          within(sendSeconds);
          stdin.end(files.packed);
        } else if (lines.includes(`has ${files.digest}`)) {
          isThere = true;
          stdin.end();
        }
      });
      // A command that ends early breaks its stdin; what it printed matters more than that error.
      stdin.on("error", () => undefined);
      stdin.write(receiving(files).script);
      ended.then((code) => {
        if (code === 0 && isThere) return done(sent);
        const last = said.join("").trim().split("\n").at(-1) ?? "";
        const ours = /^socket-bypass: (.*)$/.exec(last)?.[1];
        if (ours !== undefined) return fail(new Error(`takes no files: ${printable(ours)}`));
        if (code === 0) return fail(new Error(strange));
        fail(new Error(`ends the command with ${code ?? "no exit status"}${last ? `: ${printable(last)}` : ""}`));
      }, fail);
    });
  } finally {
    clearTimeout(late);
  }
}

const strange =
  "ran another command than the one it was sent, and reported success; correct what makes sshd force a command (ForceCommand, or command= in authorized_keys)";
