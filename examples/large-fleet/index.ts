// SPDX-License-Identifier: Apache-2.0
// A thousand machines over SSH, in stacks of about a hundred, each updated by the Automation API:
//
//   npx tsx index.ts preview|up|destroy --machines FILE --stacks N [--at-once N]
//
// The engine keeps one state for each stack and writes all of it after each step, so the time that
// a stack takes grows with the square of its machines. With stacks of a bounded size, the time of
// the whole fleet grows only with its size.
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { parseArgs } from "node:util";
import * as pulumi from "@pulumi/pulumi";
import { LocalWorkspace, type Stack } from "@pulumi/pulumi/automation/index.js";
import { type Host, SocketBypass } from "socket-bypass";

interface Machine {
  readonly address: string;
  readonly hostKey: string;
  readonly port?: number;
}
type Machines = Readonly<Record<string, Machine>>;

const verbs = ["preview", "up", "destroy"] as const;
type Verb = (typeof verbs)[number];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    machines: { type: "string", default: "machines.json" },
    stacks: { type: "string", default: "10" },
    "at-once": { type: "string", default: "1" },
    user: { type: "string", default: "root" },
    key: { type: "string", default: `${process.env.HOME}/.ssh/id_ed25519` },
    ports: { type: "string", default: "6379" },
  },
});

/**
 * Finds the stack of a machine by its name alone, so that the machine stays there when others come
 * and go. Choose the number of stacks once: another number would move machines between stacks, and
 * one stack might install before the other removes.
 */
function stackOf(name: string, count: number): number {
  return createHash("sha256").update(name).digest().readUInt32BE() % count;
}

function programFor(machines: Machines) {
  return async () => {
    const privateKey = pulumi.secret(fs.readFileSync(values.key, "utf8"));
    const hosts: Record<string, Host> = {};
    for (const [name, { address, hostKey, port = 22 }] of Object.entries(machines)) {
      hosts[name] = {
        connection: { host: address, port, user: values.user, privateKey, hostKey },
        ...(values.user === "root" ? {} : { become: "sudo -n" }),
      };
    }
    // A stack may have no machine yet, or none any more.
    if (Object.keys(hosts).length === 0) return {};
    const { generation, logins } = new SocketBypass("edge", { hosts, traffic: { ports: values.ports.split(",") } });
    return { generation, socketBypass: logins };
  };
}

const project = "large-fleet";

async function act(verb: Verb, stack: Stack): Promise<unknown> {
  if (verb === "preview") return (await stack.preview()).changeSummary;
  if (verb === "up") return (await stack.up()).summary.resourceChanges;
  // A machine that is gone must not keep the others from being cleaned up.
  const { summary } = await stack.destroy({ continueOnError: true });
  await stack.workspace.removeStack(stack.name);
  return summary.resourceChanges;
}

interface Group {
  readonly stackName: string;
  readonly machines: Machines;
}

/**
 * Prints one line for the stack, or the engine's diagnostics if it fails, and returns whether it
 * succeeded.
 */
async function run(verb: Verb, { stackName, machines }: Group): Promise<boolean> {
  const started = performance.now();
  try {
    const program = programFor(machines);
    const stack = await LocalWorkspace.createOrSelectStack({ stackName, projectName: project, program });
    const changes = JSON.stringify(await act(verb, stack));
    const seconds = ((performance.now() - started) / 1000).toFixed(0);
    console.log(`${stackName}: ${Object.keys(machines).length} machines, ${seconds} s, ${changes}`);
    return true;
  } catch (error) {
    const all = error instanceof Error ? error.message : `${error}`;
    console.error(`${stackName}: ${verb} failed: ${/\nDiagnostics:\n([\s\S]*?)\n\s*Resources:/.exec(all)?.[1] ?? all}`);
    return false;
  }
}

/**
 * Refuses another number of stacks than there are: some stacks would not be visited any more, and
 * machines would be in two stacks.
 */
async function checkCount(count: number): Promise<void> {
  const workspace = await LocalWorkspace.create({ projectSettings: { name: project, runtime: "nodejs" } });
  const numbers = (await workspace.listStacks()).map(({ name }) => Number(/-of-(\d+)$/.exec(name)?.[1] ?? count));
  const other = numbers.find((one) => one !== count);
  if (other !== undefined)
    throw new Error(
      `--stacks: expected ${other}, which this backend has stacks of, found ${count}; type destroy --stacks ${other} before you take another number`,
    );
}

/**
 * Runs the groups in order, `atOnce` at a time. After a failure no further group begins, except in
 * a destroy.
 */
async function runAll(verb: Verb, groups: readonly Group[], atOnce: number): Promise<boolean> {
  const waiting = [...groups];
  let isWell = true;
  const work = async () => {
    while (isWell || verb === "destroy") {
      const next = waiting.shift();
      if (next === undefined) return;
      if (!(await run(verb, next))) isWell = false;
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  return isWell;
}

async function main(): Promise<void> {
  const verb = verbs.find((one) => one === positionals[0]);
  const [count, atOnce] = [Number(values.stacks), Number(values["at-once"])];
  if (verb === undefined || !Number.isInteger(count) || count < 1 || !Number.isInteger(atOnce) || atOnce < 1)
    throw new Error(
      `expected ${verbs.join(", ")} and whole numbers, found ${positionals[0]}, --stacks ${values.stacks} and --at-once ${values["at-once"]}`,
    );
  await checkCount(count);
  const all = Object.entries<Machine>(JSON.parse(fs.readFileSync(values.machines, "utf8")));
  const groups = Array.from({ length: count }, (_, number) => ({
    stackName: `fleet-${number}-of-${count}`,
    machines: Object.fromEntries(all.filter(([name]) => stackOf(name, count) === number)),
  }));
  // The first stack that has machines runs alone, so that no other has begun if it fails.
  const canary = groups.findIndex(({ machines }) => Object.keys(machines).length > 0) + 1;
  const isWell = await runAll(verb, groups.slice(0, canary), 1);
  const goesOn = isWell || verb === "destroy";
  const isAllWell = goesOn && (await runAll(verb, groups.slice(canary), atOnce)) && isWell;
  process.exitCode = isAllWell ? 0 : 1;
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : `${error}`);
  process.exitCode = 1;
});
