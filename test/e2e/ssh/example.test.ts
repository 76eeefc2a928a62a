// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { findEngine } from "../../../tools/pulumi/stack.js";
import { isSkipped, makeFolder, makeKeys } from "./far.js";

const example = resolve(__dirname, "../../../examples/ssh-fleet");

// This does not prove that its program installs; test/e2e/ssh/ways-in.test.ts does that with the
// same arguments.
describe.skipIf(isSkipped)("examples/ssh-fleet", () => {
  test("plans the machines of its configuration, the canary first, and contacts none of them", () => {
    const folder = makeFolder();
    const { pulumi, env } = findEngine();
    const all = {
      ...process.env,
      ...env,
      PULUMI_BACKEND_URL: `file://${folder}`,
      PULUMI_CONFIG_PASSPHRASE: "example",
      PULUMI_NODEJS_TRANSPILE_ONLY: "true",
      SOCKET_BYPASS_STAND_IN_ALLOW_REMOTE: "yes",
    };
    const settings = ["--config-file", join(folder, "Pulumi.dev.yaml"), "--stack", "dev"];
    const run = (words: readonly string[], input = "") =>
      execFileSync(pulumi, [...words, "--cwd", example, "--non-interactive"], { env: all, input, encoding: "utf8" });
    // `stack init` runs elsewhere, because it leaves a file beside Pulumi.yaml.
    fs.copyFileSync(join(example, "Pulumi.yaml"), join(folder, "Pulumi.yaml"));
    execFileSync(pulumi, ["stack", "init", "--no-select", "dev", "--non-interactive"], {
      cwd: folder,
      env: all,
      stdio: "ignore",
    });
    const { privateKey, publicKey } = makeKeys();
    const machines = Object.fromEntries(
      ["web2", "web1"].map((name, at) => [name, { address: `198.19.0.${at + 1}`, hostKey: publicKey }]),
    );
    run(["config", "set", "machines", JSON.stringify(machines), ...settings]);
    run(["config", "set", "user", "ops", ...settings]);
    run(["config", "set", "--secret", "privateKey", ...settings], privateKey);
    const { steps } = JSON.parse(run(["preview", "--json", ...settings])) as {
      steps: {
        op: string;
        urn: string;
        newState: { type: string; dependencies?: string[]; inputs?: { create?: string } };
      }[];
    };
    const commands = steps.filter(({ newState }) => newState.type === "command:remote:Command");
    expect(commands.map(({ op }) => op)).toEqual(Array(16).fill("create"));
    for (const { newState } of commands) expect(newState.inputs?.create).toMatch(/^sudo -n timeout /);
    const waits = (name: string) =>
      commands
        .find(({ urn }) => urn.endsWith(`::${name}`))
        ?.newState.dependencies?.map((urn) => urn.split("::").at(-1));
    expect(waits("edge-web1-object") ?? []).toEqual([]);
    expect(waits("edge-web2-object")).toEqual(["edge-web1-attachment"]);
    expect(fs.readdirSync(example).sort()).toEqual(["Pulumi.yaml", "README.md", "index.ts", "tsconfig.json"]);
  }, 120_000);
});
