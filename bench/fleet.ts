// SPDX-License-Identifier: Apache-2.0
// What it costs to install on many hosts over SSH, as root: `npm run bench:fleet -- [--hosts 10] [--rounds N] [--write]`
//
//   --hosts N,…   how many sshds, each in a network namespace of its own (10)     --rounds N   each with a fresh stack (3)
//   --no-checkpoints   let the engine write its state once at the end and not after each step (PULUMI_SKIP_CHECKPOINTS)
//   --write       keep the result and draw it in docs/bench/; each stack with checkpoints, and without
//
// The engine, its provider and SSH are real. Behind each sshd a recorder answers in place of the host script, so that this machine's processors are not shared
// with what a hundred hosts would do on their own. The other side of the ratio is a loop of `ssh`, as parallel as the engine, that
// sends the five bpftool commands of docs/bench/README.md's article to the same recorders.
// The last line of stdout is one JSON object; with more than one number of hosts, one for each.
import * as fs from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { undoing } from "../engine/undoing.mjs";
import { Endpoints } from "./fleet-endpoints";
import { median } from "./fleet-numbers";
import { drawFleet } from "./fleet-plot";
import { runLoop, runStack } from "./fleet-runs";
import { describeMachine } from "./machine";

const { values } = parseArgs({
  options: {
    hosts: { type: "string", default: "10" },
    rounds: { type: "string", default: "3" },
    "no-checkpoints": { type: "boolean", default: false },
    write: { type: "boolean", default: false },
  },
});

/** Whether the engine writes its state after each step. */
const modes = values.write ? [true, false] : [!values["no-checkpoints"]];

/** Medians of the rounds; seconds, MiB, bytes. `ratio` is the median of each round's up to that round's loop. */
export interface FleetResult {
  readonly hosts: number;
  readonly checkpoints: boolean;
  readonly loop: number;
  readonly up: number;
  readonly ratio: number;
  readonly preview: number;
  readonly destroy: number;
  readonly dials: number;
  readonly loopDials: number;
  readonly peakMiB: number;
  readonly stateBytes: number;
}

/** One result for each of the modes; a round has one loop, to which all its stacks are compared. */
async function measure(hosts: number, rounds: number): Promise<FleetResult[]> {
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
      // Every other round the other way round, so that drift of the machine hits all alike.
      for (const part of round % 2 === 0 ? parts : parts.reverse()) await part();
    }
  };
  await undoing(() => endpoints.close(), playRounds);
  const round = (value: number) => Number(value.toFixed(2));
  return stacks.map((ran, at) => {
    const of = (name: keyof (typeof ran)[number]) => median(ran.map((one) => one[name]));
    return {
      hosts,
      checkpoints: modes[at] ?? true,
      loop: round(median(loops.map(({ seconds }) => seconds))),
      up: round(of("up")),
      ratio: round(median(ran.map(({ up }, number) => up / (loops[number]?.seconds ?? Number.NaN)))),
      preview: round(of("preview")),
      destroy: round(of("destroy")),
      dials: of("upDials"),
      loopDials: median(loops.map(({ dials }) => dials)),
      peakMiB: Math.round(of("peakMiB")),
      stateBytes: of("stateBytes"),
    };
  });
}

async function main(): Promise<void> {
  const counts = values.hosts.split(",").map(Number);
  const rounds = Number(values.rounds);
  if (counts.some((count) => !(count >= 1 && count <= 200)) || !(rounds >= 1))
    throw new Error(
      `bench: expected --hosts of 1 to 200 and --rounds of at least 1, found ${values.hosts} and ${values.rounds}`,
    );
  const results: FleetResult[] = [];
  for (const count of counts) results.push(...(await measure(count, rounds)));
  if (values.write) {
    const folder = join(__dirname, "..", "docs", "bench");
    const machine = describeMachine({ rounds, ms: 0 });
    fs.writeFileSync(join(folder, "fleet.json"), `${JSON.stringify({ machine, results }, null, 2)}\n`);
    fs.writeFileSync(join(folder, "fleet.svg"), drawFleet(results));
  }
  const [only, ...more] = results;
  const nameOf = ({ hosts, checkpoints }: FleetResult) => `${hosts}${checkpoints ? "" : " without checkpoints"}`;
  console.log(JSON.stringify(more.length === 0 ? only : Object.fromEntries(results.map((one) => [nameOf(one), one]))));
}

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

main().catch((error: unknown) => {
  say(error instanceof Error ? `${error.message}` : `${error}`);
  process.exitCode = 1;
});
