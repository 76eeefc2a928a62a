// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { expect, onTestFinished } from "vitest";
import { findEngine } from "../../tools/pulumi/stack.js";

/** A program of examples/ with a stack of its own, which is only previewed. Reaches no cluster. */
export class Example {
  private readonly folder = fs.mkdtempSync(join(tmpdir(), "socket-bypass-example-"));
  private readonly source: string;
  private readonly settings = ["--config-file", join(this.folder, "Pulumi.dev.yaml"), "--stack", "dev"];
  private readonly engine = findEngine();
  private readonly env: Record<string, string | undefined>;

  constructor(name: string, env: Readonly<Record<string, string>> = {}) {
    onTestFinished(() => fs.rmSync(this.folder, { recursive: true, force: true }));
    this.source = resolve(__dirname, "../../examples", name);
    this.env = {
      ...{ ...process.env, ...this.engine.env, KUBECONFIG: join(this.folder, "none") },
      ...{ PULUMI_BACKEND_URL: `file://${this.folder}`, PULUMI_CONFIG_PASSPHRASE: "example" },
      ...{ PULUMI_NODEJS_TRANSPILE_ONLY: "true", ...env },
    };
    // `stack init` runs elsewhere, because it leaves a file beside Pulumi.yaml.
    fs.copyFileSync(join(this.source, "Pulumi.yaml"), join(this.folder, "Pulumi.yaml"));
    execFileSync(this.engine.pulumi, ["stack", "init", "--no-select", "dev", "--non-interactive"], {
      cwd: this.folder,
      env: this.env,
      stdio: "ignore",
    });
  }

  set(key: string, value: string): void {
    this.run(["config", "set", key, value]);
  }

  setSecret(key: string, value: string): void {
    this.run(["config", "set", "--secret", key], value);
  }

  /** The steps of a preview, in the form that the test expects. */
  plan<Step>(): Step[] {
    return JSON.parse(this.run(["preview", "--json"])).steps;
  }

  /** No run has left a file beside the program. */
  expectClean(): void {
    expect(fs.readdirSync(this.source).sort()).toEqual(["Pulumi.yaml", "README.md", "index.ts", "tsconfig.json"]);
  }

  private run(words: readonly string[], input = ""): string {
    const all = [...words, ...this.settings, "--cwd", this.source, "--non-interactive"];
    return execFileSync(this.engine.pulumi, all, { env: this.env, input, encoding: "utf8" });
  }
}
