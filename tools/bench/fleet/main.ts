// SPDX-License-Identifier: Apache-2.0
// What it costs to install on many hosts over SSH, as root:
// `npm run bench:fleet -- [--hosts 10] [--rounds N] [--large N] [--write]`
//
//   --hosts N,…   how many sshds, each in a network namespace of its own (10)
//   --rounds N    rounds, each with fresh stacks (3; for more than 20 hosts 1, as it takes minutes)
//   --large N     instead, examples/large-fleet once for so many machines (at most 1200) in ten
//                 stacks; five of the machines are one sshd
//   --write       keep the result and draw it in docs/explanation/benchmarks/
//
// A round runs a loop and two stacks: one as the engine runs by default, and one for which the
// engine writes its state once at the end and not after each step (PULUMI_SKIP_CHECKPOINTS).
// The engine, its provider and SSH are real. Behind each sshd a recorder answers in place of the
// host script, so that this machine's processors do not do the work that a hundred hosts would do
// on their own. The other side of the ratio is a loop of `ssh`, as parallel as the engine, that
// sends the five bpftool commands of docs/explanation/benchmarks/README.md's article to the same
// recorders. The last line of stdout is one JSON object; with several numbers of hosts, it has one
// object for each of them.
import * as fs from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { withCleanup } from "../../pulumi/with-cleanup.mjs";
import { describeMachine } from "../report/machine";
import { median } from "../report/median";
import { Endpoints } from "./endpoints";
import { measureLarge } from "./large";
import { drawFleet } from "./plot";
import type { FleetResult, StackResult } from "./result";
import { runLoop, runStack } from "./runs";

const { values } = parseArgs({
  options: {
    hosts: { type: "string", default: "10" },
    rounds: { type: "string" },
    large: { type: "string" },
    write: { type: "boolean", default: false },
  },
});

/** Whether the engine writes its state after each step. */
const modes = [true, false];

async function measure(hosts: number, rounds: number): Promise<FleetResult> {
  const endpoints = new Endpoints();
  const loops: { seconds: number; dials: number }[] = [];
  const stacks = modes.map((): Awaited<ReturnType<typeof runStack>>[] => []);
  const playRounds = async () => {
    await endpoints.open(hosts);
    for (let round = 0; round < rounds; round++) {
      const parts = [
        async () => {
          const before = endpoints.dials();
          loops.push({ seconds: await runLoop(endpoints), dials: endpoints.dials() - before });
          say(`${hosts} hosts, round ${round + 1}/${rounds}: loop ${loops.at(-1)?.seconds.toFixed(1)} s`);
        },
        ...modes.map((hasCheckpoints, at) => async () => {
          const ran = await runStack(endpoints, hasCheckpoints);
          stacks[at]?.push(ran);
          const mode = hasCheckpoints ? "" : " without checkpoints";
          say(
            `${hosts} hosts, round ${round + 1}/${rounds}${mode}: up ${ran.up.toFixed(1)} s, preview ${ran.preview.toFixed(1)} s`,
          );
        }),
      ];
      // Every other round runs in reverse, so that drift of the machine affects all alike.
      for (const part of round % 2 === 0 ? parts : parts.reverse()) await part();
    }
  };
  await withCleanup(() => endpoints.close(), playRounds);
  const round = (value: number) => Number(value.toFixed(2));
  const [withCheckpoints, withoutCheckpoints] = stacks.map((ran): StackResult => {
    const of = (name: Exclude<keyof (typeof ran)[number], "peaks">) => median(ran.map((one) => one[name]));
    return {
      up: round(of("up")),
      ratio: round(median(ran.map(({ up }, number) => up / (loops[number]?.seconds ?? Number.NaN)))),
      preview: round(of("preview")),
      destroy: round(of("destroy")),
      dials: of("dials"),
      peakMiB: Math.round(of("peakMiB")),
      peaks: Object.fromEntries(
        Object.entries(ran.at(-1)?.peaks ?? {}).map(([name, size]) => [name, Math.round(size)]),
      ),
      stateBytes: of("stateBytes"),
    };
  }) as [StackResult, StackResult];
  const loop = round(median(loops.map(({ seconds }) => seconds)));
  const loopDials = median(loops.map(({ dials }) => dials));
  return { hosts, rounds, loop, loopDials, ...withCheckpoints, withoutCheckpoints };
}

async function main(): Promise<void> {
  if (values.large !== undefined) return await runLarge(Number(values.large));
  const counts = values.hosts.split(",").map(Number);
  const rounds = values.rounds === undefined ? undefined : Number(values.rounds);
  if (counts.some((count) => !(count >= 1 && count <= 200)) || (rounds !== undefined && !(rounds >= 1)))
    throw new Error(
      `bench: expected --hosts of 1 to 200 and --rounds of at least 1, found ${values.hosts} and ${values.rounds}`,
    );
  const results: FleetResult[] = [];
  for (const count of counts) {
    results.push(await measure(count, rounds ?? (count > 20 ? 1 : 3)));
    if (values.write) write(results);
  }
  const [only, ...more] = results;
  console.log(JSON.stringify(more.length === 0 ? only : Object.fromEntries(results.map((one) => [one.hosts, one]))));
}

async function runLarge(machines: number): Promise<void> {
  if (!(Number.isInteger(machines) && machines >= 10 && machines <= 1200))
    throw new Error(`bench: expected --large of 10 to 1200, found ${values.large}`);
  const large = await measureLarge(machines, say);
  if (values.write) keep({ large: { machine: machine(), ...large } });
  console.log(JSON.stringify(large));
}

const folder = join(__dirname, "../../..", "docs", "explanation", "benchmarks");

function write(results: readonly FleetResult[]): void {
  keep({ machine: machine(), results });
  fs.writeFileSync(join(folder, "fleet.svg"), drawFleet(results));
}

function machine() {
  const { versions: _, ...rest } = describeMachine();
  return rest;
}

/** Replaces a part of what docs/explanation/benchmarks has, with the machine that measured it. */
function keep(part: object): void {
  const file = join(folder, "fleet.json");
  fs.writeFileSync(file, `${JSON.stringify({ ...JSON.parse(fs.readFileSync(file, "utf8")), ...part }, null, 2)}\n`);
}

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

main().catch((error: unknown) => {
  say(error instanceof Error ? `${error.message}` : `${error}`);
  process.exitCode = 1;
});
