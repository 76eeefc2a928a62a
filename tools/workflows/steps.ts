// SPDX-License-Identifier: Apache-2.0
// Reads the steps of workflows, as far as a machine without GitHub can tell what they would do.
import { parse } from "yaml";

export interface Step {
  /** WORKFLOW/JOB, and WORKFLOW/JOB (VALUE…) for each combination of a matrix. */
  readonly job: string;
  readonly name: string;
  readonly id: string | undefined;
  /** What a shell is given, or undefined for an action. */
  readonly run: string | undefined;
  readonly uses: string | undefined;
  readonly env: Readonly<Record<string, string>>;
  readonly shell: readonly string[];
  readonly matrix: Readonly<Record<string, string>>;
}

interface Job {
  readonly container?: unknown;
  readonly env?: Record<string, unknown>;
  readonly strategy?: { readonly matrix?: Record<string, readonly unknown[]> };
  readonly steps: readonly {
    readonly id?: string;
    readonly name?: string;
    readonly run?: string;
    readonly uses?: string;
    readonly env?: Record<string, unknown>;
  }[];
}

/** The steps of a workflow in order, once for each combination of a job's matrix. */
export function stepsOf(workflow: string, text: string): Step[] {
  const { jobs }: { jobs: Record<string, Job> } = parse(text);
  return Object.entries(jobs).flatMap(([name, job]) =>
    combine(Object.entries(job.strategy?.matrix ?? {})).flatMap((matrix) => {
      const values = Object.values(matrix);
      return job.steps.map((step) => ({
        job: `${workflow}/${name}${values.length > 0 ? ` (${values.join(", ")})` : ""}`,
        name: step.name ?? step.uses?.replace(/@.*/, "") ?? "",
        id: step.id,
        run: step.run,
        uses: step.uses,
        env: textsOf({ ...job.env, ...step.env }),
        // What GitHub takes for a step that names no shell.
        shell: job.container === undefined ? ["bash", "-e"] : ["sh", "-e"],
        matrix,
      }));
    }),
  );
}

function combine(axes: readonly (readonly [string, readonly unknown[]])[]): Record<string, string>[] {
  const [first, ...rest] = axes;
  if (first === undefined) return [{}];
  const [name, values] = first;
  return values.flatMap((value) => combine(rest).map((others) => ({ [name]: `${value}`, ...others })));
}

function textsOf(env: Readonly<Record<string, unknown>>): Record<string, string> {
  return Object.fromEntries(Object.entries(env).map(([name, value]) => [name, `${value}`]));
}

/** Commands that need a service, with an account or a registry behind it. */
const remote = ["docker", "cosign", "gh", "npm publish", "git push"];

/** Why a step cannot run here, or undefined. */
export function obstacleTo(step: Step): string | undefined {
  if (step.run === undefined) return "an action of GitHub";
  const command = remote.find((one) => new RegExp(`^\\s*${one} `, "m").test(`${step.run}`));
  return command && `${command} needs a service`;
}

/** Fills in `${{ … }}`, and names what is not known. */
export function fill(text: string, known: Readonly<Record<string, string>>): { text: string; unknown: string[] } {
  const unknown: string[] = [];
  const filled = text.replace(/\$\{\{\s*([\w.-]+)\s*\}\}/g, (_, name: string) => {
    const value = known[name];
    if (value === undefined) unknown.push(name);
    return value ?? "";
  });
  return { text: filled, unknown };
}
