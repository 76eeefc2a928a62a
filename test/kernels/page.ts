// SPDX-License-Identifier: Apache-2.0
import { writeFileSync } from "node:fs";

export interface Outcome {
  readonly kernel: string;
  readonly date: string;
  readonly release: string;
  readonly packages: Record<string, string>;
  readonly isOk: boolean;
  readonly passed: number;
  readonly failed: readonly string[];
  readonly skipped: number;
  /** What the self-test found. */
  readonly facts: Record<string, string | number>;
}

/** Writes docs/reference/kernels.md. */
export function writePage(path: string, outcomes: readonly Outcome[]): void {
  const names = [...new Set(outcomes.flatMap(({ facts }) => Object.keys(facts)))].filter((name) =>
    outcomes.some(({ facts }) => typeof facts[name] === "string"),
  );
  const version = ({ packages }: Outcome) => {
    const image = Object.keys(packages).find((name) => /^linux-image-\d/.test(name)) ?? "";
    return packages[image] ?? "?";
  };
  const notes = ({ failed }: Outcome) => failed.map((title) => `failed: ${title}`).join("; ");
  writeFileSync(
    path,
    `# Kernels

\`npm run test:kernels\` wrote this page.
The command boots each kernel in a virtual machine with an emulated processor.
There it runs the cases of \`test/bpf\` ([testing.md](../contributing/testing.md)) with the distribution's own bpftool:
preflight, apply, the self-test, status, drain under load, remove, nothing left behind,
a kernel log without complaints, and the datapath.
With \`-- --few\` it runs only a few of the cases.

${table(
  ["machine", "date", "kernel", "Debian version", "bpftool", "cases passed of those run, of all", "notes"],
  outcomes.map((outcome) => [
    outcome.kernel,
    outcome.date,
    outcome.release,
    version(outcome),
    outcome.packages.bpftool ?? "?",
    `${outcome.passed} of ${outcome.passed + outcome.failed.length}, of ${outcome.passed + outcome.failed.length + outcome.skipped}`,
    notes(outcome),
  ]),
)}

The self-test found these facts ([behaviour.md](behaviour.md) says who notices):

${table(
  ["fact", ...outcomes.map(({ release }) => release)],
  names.map((name) => [`\`${name}\``, ...outcomes.map(({ facts }) => `${facts[name] ?? ""}`)]),
)}
`,
  );
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n");
}
