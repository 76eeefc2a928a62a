// SPDX-License-Identifier: Apache-2.0
import { existsSync } from "node:fs";
import { copyFile, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { checkout, DemoError, run } from "./run";

export const stateFolder = join(checkout, ".state");
const stack = "dev";

// The settings of the stack are kept beside its state, because a Pulumi.dev.yaml beside Pulumi.yaml
// may be the user's own.
const onStack = ["--stack", stack, "--config-file", join(stateFolder, `Pulumi.${stack}.yaml`)];
const aside = ["--cwd", stateFolder];

/** The beginning of the owner that the package records on the host. */
export const owner = `socket-bypass/${stack}/`;

export function isStackThere(): boolean {
  return existsSync(join(stateFolder, ".pulumi", "stacks", "socket-bypass", `${stack}.json`));
}

export function needRoot(command: string): void {
  const user = process.getuid?.();
  if (user !== 0)
    throw new DemoError(`expected root, which BPF programs need, found user ${user}; type: sudo ${command}`);
}

/** The Pulumi CLI on the stack of the demo. */
export class Engine {
  private constructor(private readonly env: NodeJS.ProcessEnv) {}

  /**
   * Finds, installs or builds the CLI (see docs/contributing/engine.md), and opens the stack in the
   * state folder.
   */
  static async open(): Promise<Engine> {
    const answer = (await run(process.execPath, ["tools/pulumi/ensure.mjs", "--json"])).trim().split("\n").pop() ?? "";
    const { env } = JSON.parse(answer) as { env: Record<string, string> };
    await mkdir(stateFolder, { recursive: true, mode: 0o700 });
    await copyFile(join(checkout, "Pulumi.yaml"), join(stateFolder, "Pulumi.yaml"));
    const engine = new Engine({
      ...process.env,
      ...env,
      PULUMI_BACKEND_URL: `file://${stateFolder}`,
      // Checking the types of the provider SDKs takes a minute of each preview; npm run typecheck
      // does it.
      PULUMI_NODEJS_TRANSPILE_ONLY: "true",
      // This stack holds no secret.
      PULUMI_CONFIG_PASSPHRASE: "socket-bypass demo",
    });
    if (!isStackThere()) await engine.pulumi(["stack", "init", "--no-select", stack, ...aside]);
    return engine;
  }

  /** Sets the ports that may be bypassed. */
  async configure(port: number): Promise<void> {
    await this.pulumi(["config", "set", "ports", JSON.stringify([`${port}`]), ...onStack]);
  }

  async preview(): Promise<void> {
    await this.pulumi(["preview", "--suppress-progress", ...onStack], true);
  }

  async up(): Promise<void> {
    await this.pulumi(["up", "--yes", "--skip-preview", "--suppress-progress", ...onStack], true);
  }

  async destroy(): Promise<void> {
    await this.pulumi(["destroy", "--yes", "--skip-preview", "--suppress-progress", ...onStack], true);
    await this.pulumi(["stack", "rm", "--yes", stack, ...aside]);
  }

  private async pulumi(args: readonly string[], shown = false): Promise<void> {
    await run("pulumi", [...args, "--non-interactive"], { env: this.env, shown });
  }
}
