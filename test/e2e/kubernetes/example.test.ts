// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { findEngine } from "../../../tools/pulumi/stack.js";

const example = resolve(__dirname, "../../../examples/node-pool");

// This does not prove that its program installs; node-pool.test.ts does that with the same
// arguments.
test("examples/node-pool plans the pool of its configuration, without a cluster", () => {
  const folder = fs.mkdtempSync(join(tmpdir(), "socket-bypass-example-"));
  onTestFinished(() => fs.rmSync(folder, { recursive: true, force: true }));
  const { pulumi, env } = findEngine();
  const all = {
    ...process.env,
    ...env,
    KUBECONFIG: join(folder, "none"),
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
  run("config", "set", "image", "registry.example.com/socket-bypass:1", ...settings);
  run("config", "set", "nodeSelector", '{"pool":"web"}', ...settings);
  run("config", "set", "ports", '["6379","8000-8999"]', ...settings);
  const { steps } = JSON.parse(run("preview", "--json", ...settings)) as {
    steps: { op: string; newState: { type: string; inputs?: Record<string, unknown> } }[];
  };
  const objects = steps.filter(({ newState }) => newState.type.startsWith("kubernetes:"));
  expect(objects.map(({ op, newState }) => [op, newState.type.split(":").at(-1)]).sort()).toEqual([
    ["create", "ConfigMap"],
    ["create", "DaemonSet"],
    ["create", "Namespace"],
    ["create", "NetworkPolicy"],
    ["create", "ServiceAccount"],
  ]);
  const daemonSet = objects.find(({ newState }) => newState.type.endsWith("DaemonSet"));
  expect(daemonSet?.newState.inputs).toMatchObject({
    spec: {
      template: {
        spec: {
          nodeSelector: { pool: "web" },
          containers: [
            {
              image: "registry.example.com/socket-bypass:1",
              args: expect.arrayContaining(["--ports", "6379,8000-8999", "--enabled", "true"]),
            },
          ],
        },
      },
    },
  });
  expect(fs.readdirSync(example).sort()).toEqual(["Pulumi.yaml", "README.md", "index.ts", "tsconfig.json"]);
});
