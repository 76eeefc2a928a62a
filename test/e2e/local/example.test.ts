// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { findEngine } from "../../../tools/pulumi/stack.js";

const example = resolve(__dirname, "../../../examples/observe");

// This does not prove that its program observes or installs; observe.test.ts does that with the
// same arguments.
test("examples/observe plans a look without ports, and the steps of a host behind it with them", () => {
  const folder = fs.mkdtempSync(join(tmpdir(), "socket-bypass-example-"));
  onTestFinished(() => fs.rmSync(folder, { recursive: true, force: true }));
  const { pulumi, env } = findEngine();
  const all = {
    ...process.env,
    ...env,
    PULUMI_BACKEND_URL: `file://${folder}`,
    PULUMI_CONFIG_PASSPHRASE: "example",
    PULUMI_NODEJS_TRANSPILE_ONLY: "true",
  };
  const settings = ["--config-file", join(folder, "Pulumi.dev.yaml"), "--stack", "dev"];
  const run = (...words: string[]) =>
    execFileSync(pulumi, [...words, "--cwd", example, "--non-interactive"], { env: all, encoding: "utf8" });
  // `stack init` runs elsewhere, because it leaves a file beside Pulumi.yaml.
  fs.copyFileSync(join(example, "Pulumi.yaml"), join(folder, "Pulumi.yaml"));
  execFileSync(pulumi, ["stack", "init", "--no-select", "dev", "--non-interactive"], {
    cwd: folder,
    env: all,
    stdio: "ignore",
  });
  const plan = () => {
    const { steps } = JSON.parse(run("preview", "--json", ...settings)) as { steps: Step[] };
    const commands = steps.filter(({ newState }) => newState.type === "command:local:Command");
    return new Map(commands.map(({ urn, newState }) => [urn.split("::").at(-1), newState]));
  };
  run("config", "set", "seconds", "60", ...settings);
  const look = plan();
  expect([...look.keys()]).toEqual(["edge-local-observe"]);
  expect(look.get("edge-local-observe")?.inputs?.create).toMatch(/^sh -s -- advise --json --seconds 60 /);
  run("config", "set", "ports", '["6379"]', ...settings);
  const both = plan();
  expect(both.size).toBe(9);
  const waits = both.get("edge-local-object")?.dependencies?.map((urn) => urn.split("::").at(-1));
  expect(waits).toEqual(["edge-local-observe"]);
  expect(fs.readdirSync(example).sort()).toEqual(["Pulumi.yaml", "README.md", "index.ts", "tsconfig.json"]);
}, 120_000);

interface Step {
  readonly urn: string;
  readonly newState: {
    readonly type: string;
    readonly dependencies?: string[];
    readonly inputs?: { readonly create?: string };
  };
}
