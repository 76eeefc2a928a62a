// SPDX-License-Identifier: Apache-2.0
/*
 * Runs the steps of .github/workflows here, as far as a machine without GitHub can:
 *
 *   npx tsx tools/workflows/run.ts [--run] [--folder DIR] [WORKFLOW/JOB]...
 *
 * Without --run it only lists them. Each job runs in a clone of the commit that is checked out,
 * with a git configuration of its own. An action, and a command that needs a service, is named with
 * the reason and left out; tools/workflows/lint.sh checks those. A step whose `if` GitHub would
 * find false runs all the same. Exits with 1 if a step fails.
 */
import { execFileSync, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { fill, obstacleTo, type Step, stepsOf } from "./steps.js";

const root = resolve(__dirname, "../..");

function main(): number {
  const { values, positionals } = parseArgs({
    options: { run: { type: "boolean" }, folder: { type: "string", default: join(root, ".github/workflows") } },
    allowPositionals: true,
  });
  const files = fs.readdirSync(values.folder).filter((file) => file.endsWith(".yml"));
  const steps = files.flatMap((file) =>
    stepsOf(basename(file, ".yml"), fs.readFileSync(join(values.folder, file), "utf8")),
  );
  const chosen = steps.filter(({ job }) => positionals.length === 0 || positionals.some((one) => job.startsWith(one)));
  if (chosen.length === 0) throw new Error(`expected one of ${[...new Set(steps.map(({ job }) => job))].join(", ")}`);
  const jobs = [...new Set(chosen.map(({ job }) => job))];
  const outcomes = jobs.map((name) => {
    const its = chosen.filter(({ job }) => job === name);
    return values.run ? runJob(name, its) : listJob(name, its);
  });
  return outcomes.every(Boolean) ? 0 : 1;
}

function tell(job: string, step: Step, outcome: string): void {
  console.log(`${job}: ${step.name}: ${outcome}`);
}

function listJob(job: string, steps: readonly Step[]): boolean {
  for (const step of steps) {
    const obstacle = obstacleTo(step);
    tell(job, step, obstacle === undefined ? "can run" : `only linted: ${obstacle}`);
  }
  return true;
}

/** Runs the steps of a job up to the first that fails. */
function runJob(job: string, steps: readonly Step[]): boolean {
  const folder = fs.mkdtempSync(join(tmpdir(), "socket-bypass-workflow-"));
  const checkout = join(folder, "checkout");
  try {
    execFileSync("git", ["clone", "--quiet", root, checkout]);
    const known: Record<string, string> = { "github.ref_name": "main" };
    for (const step of steps) {
      const obstacle = obstacleTo(step);
      const missing = obstacle === undefined ? runStep(step, checkout, known) : obstacle;
      if (typeof missing === "string") {
        tell(job, step, `only linted: ${missing}`);
        continue;
      }
      tell(job, step, missing === 0 ? "ran" : `failed with ${missing}`);
      if (missing !== 0) return false;
    }
    return true;
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

/** Gives the exit code, or what keeps it from running; `known` gets what the step puts out. */
function runStep(step: Step, checkout: string, known: Record<string, string>): number | string {
  const values = { ...known };
  for (const [name, value] of Object.entries(step.matrix)) values[`matrix.${name}`] = value;
  const env: Record<string, string> = {};
  const unknown: string[] = [];
  for (const [name, value] of Object.entries(step.env)) {
    const filled = fill(value, values);
    unknown.push(...filled.unknown);
    env[name] = filled.text;
    values[`env.${name}`] = filled.text;
  }
  const script = fill(step.run ?? "", values);
  unknown.push(...script.unknown);
  if (unknown.length > 0) return `needs ${unknown.join(", ")}`;
  const written = join(checkout, "../written");
  fs.writeFileSync(written, "");
  fs.writeFileSync(join(checkout, "../step"), script.text);
  const [shell = "sh", ...words] = step.shell;
  const { status, error } = spawnSync(shell, [...words, join(checkout, "../step")], {
    cwd: checkout,
    stdio: ["ignore", 2, 2],
    env: {
      ...process.env,
      ...env,
      ...{
        CI: "true",
        GITHUB_WORKSPACE: checkout,
        GITHUB_OUTPUT: written,
        GITHUB_STEP_SUMMARY: join(checkout, "../summary"),
      },
      // A step may write there.
      GIT_CONFIG_GLOBAL: join(checkout, "../gitconfig"),
    },
  });
  if (error) throw error;
  for (const line of fs.readFileSync(written, "utf8").split("\n")) {
    const [, name, value] = /^(\w+)=(.*)$/.exec(line) ?? [];
    if (name !== undefined && step.id !== undefined) known[`steps.${step.id}.outputs.${name}`] = value ?? "";
  }
  return status ?? 1;
}

process.exitCode = main();
