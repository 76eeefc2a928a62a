// SPDX-License-Identifier: Apache-2.0
// The cases of test/bpf on other kernels, each in a virtual machine: `npm run test:kernels --
// [--only KERNEL] [--few | --name TEXT | --quick]`.
//
// docs/reference/kernels.md is written from the last run of each kernel, and says how many of the
// cases ran. Nothing is written with --name or --quick. --quick runs a few cases on the kernel that
// differs most, from any disk that exists.
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { literal } from "../support/literal.js";
import { withGuest } from "./guest.js";
import { cache, getImage, type Image, type Kernel, kernels, say } from "./image.js";
import { type Outcome, writePage } from "./page.js";
import { runCases, SLOWNESS } from "./vitest.js";

const root = resolve(__dirname, "../..");
/** The files whose tests touch the machine only through test/support/machine.ts. */
const files = ["whole", "backlog", "dangers", "life", "order", "paths", "splice", "stream", "tap", "unread"];
/**
 * How titles begin: one installation from preflight to its removal, order beside TCP, the bounds,
 * and many switches.
 */
const few = [
  "from preflight to removal",
  "TCP_DEFER_ACCEPT",
  "the same beside a thread",
  "a reader that never reads: its queue stays under a limit of 64 KiB",
  "a slow reader gets every byte in order: thousands",
  "a reader that sleeps while its socket leaves",
  "several threads send records on one socket in both directions: thousands",
];

const { values } = parseArgs({
  options: { only: { type: "string" }, few: { type: "boolean" }, quick: { type: "boolean" }, name: { type: "string" } },
});

async function main(): Promise<void> {
  const chosen = kernels.filter(({ name }) => values.only === undefined || name === values.only);
  if (chosen.length === 0)
    throw new Error(`--only: expected ${kernels.map(({ name }) => name).join(", ")}, found ${values.only}`);
  const outcomes: Outcome[] = [];
  const isKept = !values.quick && values.name === undefined;
  for (const kernel of values.quick ? chosen.slice(0, 1) : chosen) {
    const image = await getImage(kernel, values.quick === true);
    say(`${kernel.name}: starting it`);
    const outcome = await withGuest(image, ({ config }) => play(kernel, image, config));
    outcomes.push(outcome);
    if (isKept) fs.writeFileSync(kept(kernel), JSON.stringify(outcome));
  }
  const failed = outcomes.filter((outcome) => !outcome.isOk);
  if (isKept && kernels.every((kernel) => fs.existsSync(kept(kernel)))) {
    writePage(
      join(root, "docs/reference/kernels.md"),
      kernels.map((kernel) => JSON.parse(fs.readFileSync(kept(kernel), "utf8"))),
    );
  }
  if (failed.length > 0)
    throw new Error(`expected every case to pass, found failures on ${failed.map(({ kernel }) => kernel).join(", ")}`);
}

function kept(kernel: Kernel): string {
  return join(cache, `outcome-${kernel.name}.json`);
}

/** Runs the cases against the machine behind the ssh_config. */
async function play(kernel: Kernel, image: Image, config: string): Promise<Outcome> {
  const report = `${config}.json`;
  const isFew = values.quick === true || values.few === true;
  const pattern = values.name ?? (isFew ? few.join("|") : undefined);
  const args = ["--project", "datapath", "--hideSkippedTests", "--reporter=json", `--outputFile.json=${report}`];
  if (pattern !== undefined) args.push("--testNamePattern", pattern);
  const guest = { SOCKET_BYPASS_TEST_GUEST: config, SOCKET_BYPASS_TEST_SLOWNESS: `${SLOWNESS}` };
  let isOk = await runCases([...args, ...files.map((name) => `test/bpf/${name}.test.ts`)], guest);
  const release = execFileSync("ssh", ["-F", config, "guest", "uname -r"], { encoding: "utf8" }).trim();
  const { testResults } = JSON.parse(fs.readFileSync(report, "utf8"));
  const cases = testResults.flatMap((file: { assertionResults: Case[] }) => file.assertionResults) as Case[];
  const ran = cases.filter(({ status }) => status === "passed" || status === "failed");
  const lacking = isFew ? few.filter((title) => !ran.some((one) => one.title.startsWith(title))) : [];
  if (lacking.length > 0)
    throw new Error(`run.ts: expected cases that begin with these words, found none: ${lacking.join("; ")}`);
  const failed = ran.filter(({ status }) => status === "failed").map(({ title }) => title);
  // As in npm test, what fails runs once more, alone, and is reported as flaky if it passes then.
  if (!isOk && values.quick && failed.length > 0) {
    const again = ["--project", "datapath", "--hideSkippedTests", "--testNamePattern", failed.map(literal).join("|")];
    isOk = await runCases([...again, ...files.map((name) => `test/bpf/${name}.test.ts`)], guest);
    if (isOk) say(`FLAKY, failed and passed when it ran again alone: ${failed.join("; ")}`);
  }
  return {
    kernel: kernel.name,
    date: new Date().toISOString().slice(0, 10),
    release,
    packages: image.packages,
    isOk,
    passed: ran.filter(({ status }) => status === "passed").length,
    failed,
    skipped: cases.length - ran.length,
    facts: cases.map(({ meta }) => meta?.facts).find((facts) => facts !== undefined) ?? {},
  };
}

interface Case {
  readonly title: string;
  readonly status: string;
  readonly meta?: { facts?: Record<string, string | number> };
}

main().catch((error: Error) => {
  say(error.message);
  process.exitCode = 1;
});
