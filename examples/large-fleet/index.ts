// SPDX-License-Identifier: Apache-2.0
// A thousand machines over SSH, in stacks of about a hundred, each updated by the Automation API:
//
//   npx tsx examples/large-fleet/index.ts preview|up|destroy --machines FILE --stacks N [--at-once N]
//
// An engine keeps one state for each stack and writes all of it after each step, so the time of one stack grows with
// the square of its machines; with many stacks of a bounded size it grows with their number.
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { parseArgs } from "node:util";
import * as pulumi from "@pulumi/pulumi";
import { LocalWorkspace, type Stack } from "@pulumi/pulumi/automation/index.js";
import { type HostArgs, SocketBypass } from "socket-bypass";

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
 * The stack of a machine, by its name alone: it stays there whatever other machines come and go. Another number of
 * stacks moves machines from stack to stack, which removes and installs them: choose it once.
 */
function stackOf(name: string, count: number): number {
  return createHash("sha256").update(name).digest().readUInt32BE() % count;
}

function programFor(machines: Machines) {
  return async () => {
    const privateKey = pulumi.secret(fs.readFileSync(values.key, "utf8"));
    const hosts: Record<string, HostArgs> = {};
    for (const [name, { address, hostKey, port = 22 }] of Object.entries(machines)) {
      hosts[name] = {
        connection: { host: address, port, user: values.user, privateKey, hostKey },
        ...(values.user === "root" ? {} : { become: "sudo -n" }),
      };
    }
    // A stack may have no machine yet, or none any more.
    if (Object.keys(hosts).length === 0) return {};
    const { generation } = new SocketBypass("edge", { hosts, traffic: { ports: values.ports.split(",") } });
    return { generation };
  };
}

async function act(verb: Verb, stack: Stack): Promise<string> {
  if (verb === "preview") return JSON.stringify((await stack.preview()).changeSummary);
  if (verb === "up") return JSON.stringify((await stack.up()).summary.resourceChanges);
  return JSON.stringify((await stack.destroy()).summary.resourceChanges);
}

/** Says one line for each stack. */
async function run(verb: Verb, number: number, machines: Machines): Promise<void> {
  const stackName = `fleet-${number}`;
  const stack = await LocalWorkspace.createOrSelectStack({
    ...{ stackName, projectName: "large-fleet", program: programFor(machines) },
  });
  const started = performance.now();
  const changes = await act(verb, stack).catch((error: Error) => {
    throw new Error(`${stackName}: ${verb} failed: ${error.message}`);
  });
  const seconds = ((performance.now() - started) / 1000).toFixed(0);
  console.log(`${stackName}: ${Object.keys(machines).length} machines, ${seconds} s, ${changes}`);
}

async function main(): Promise<void> {
  const verb = verbs.find((one) => one === positionals[0]);
  const [count, atOnce] = [Number(values.stacks), Number(values["at-once"])];
  if (verb === undefined || !Number.isInteger(count) || count < 1 || !Number.isInteger(atOnce) || atOnce < 1)
    throw new Error(
      `expected ${verbs.join(", ")} and whole numbers, found ${positionals[0]}, --stacks ${values.stacks} and --at-once ${values["at-once"]}`,
    );
  const all = Object.entries<Machine>(JSON.parse(fs.readFileSync(values.machines, "utf8")));
  const groups = Array.from({ length: count }, (_, number) => ({
    number,
    machines: Object.fromEntries(all.filter(([name]) => stackOf(name, count) === number)),
  }));
  // The first stack goes alone: where it fails, no other has begun.
  const [canary, ...others] = groups;
  if (canary !== undefined) await run(verb, canary.number, canary.machines);
  let failed = false;
  const work = async () => {
    for (let next = others.shift(); next !== undefined && !failed; next = others.shift()) {
      try {
        await run(verb, next.number, next.machines);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  const ended = await Promise.allSettled(Array.from({ length: atOnce }, work));
  for (const one of ended) if (one.status === "rejected") throw one.reason;
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : `${error}`);
  process.exitCode = 1;
});
