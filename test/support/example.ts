// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { onTestFinished } from "vitest";
import { findEngine } from "../../tools/pulumi/stack.js";

const standIn = resolve(__dirname, "../examples/provider-stand-in.mjs");

/** A resource as a preview plans it. */
export interface Planned {
  readonly op: string;
  readonly urn: string;
  readonly newState: {
    readonly type: string;
    readonly inputs?: Readonly<Record<string, unknown>>;
    readonly dependencies?: readonly string[];
    readonly deletedWith?: string;
  };
}

/**
 * The copy of an example with a stack of its own, which is only previewed. Reaches no cluster, and
 * no cloud: providers in `standIns` are not the real ones.
 */
export class Example {
  private readonly folder = fs.mkdtempSync(join(tmpdir(), "socket-bypass-example-"));
  private readonly engine = findEngine();
  private readonly env: Record<string, string | undefined>;

  constructor(
    private readonly program: string,
    standIns: readonly string[] = [],
  ) {
    onTestFinished(() => fs.rmSync(this.folder, { recursive: true, force: true }));
    this.env = {
      ...{ ...process.env, ...this.engine.env, KUBECONFIG: join(this.folder, "none") },
      ...{ PULUMI_BACKEND_URL: `file://${this.folder}`, PULUMI_CONFIG_PASSPHRASE: "example" },
      // The types are checked for all examples together.
      ...{ PULUMI_NODEJS_TRANSPILE_ONLY: "true", SOCKET_BYPASS_STAND_IN_ALLOW_REMOTE: "yes" },
    };
    if (standIns.length > 0) this.replaceProviders(standIns);
    this.run(["stack", "init", "dev"]);
  }

  set(key: string, value: string): void {
    this.run(["config", "set", key, value, "--stack", "dev"]);
  }

  setSecret(key: string, value: string): void {
    this.run(["config", "set", "--secret", key, "--stack", "dev"], value);
  }

  /** What a preview would do. */
  plan(): Planned[] {
    return JSON.parse(this.run(["preview", "--json", "--stack", "dev"])).steps;
  }

  private replaceProviders(names: readonly string[]): void {
    const lines = names.map((name) => {
      const path = join(this.folder, name);
      fs.mkdirSync(path);
      fs.symlinkSync(standIn, join(path, `pulumi-resource-${name}`));
      return `    - { name: ${name}, path: ${path} }\n`;
    });
    fs.appendFileSync(join(this.program, "Pulumi.yaml"), `plugins:\n  providers:\n${lines.join("")}`);
  }

  private run(words: readonly string[], input = ""): string {
    const all = [...words, "--cwd", this.program, "--non-interactive"];
    return execFileSync(this.engine.pulumi, all, { env: this.env, input, encoding: "utf8", stdio: "pipe" });
  }
}

/** The last part of a URN. */
export function nameIn(urn: string): string {
  return urn.split("::").at(-1) ?? "";
}
