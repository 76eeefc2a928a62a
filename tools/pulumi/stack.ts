// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import { dirname, join, resolve } from "node:path";
import { type InlineProgramArgs, LocalWorkspace, PulumiCommand, type Stack } from "@pulumi/pulumi/automation/index.js";

interface Engine {
  readonly pulumi: string;
  readonly commandProvider: "official" | "stand-in";
  readonly env: Record<string, string>;
}
let engine: Engine | undefined;

/** The engine that ensure.mjs finds or makes, once for this process. */
export function findEngine() {
  if (engine === undefined) {
    const words = ["tools/pulumi/ensure.mjs", "--json"];
    const cwd = resolve(__dirname, "../..");
    const said = execFileSync(process.execPath, words, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
    const answer = said.trim().split("\n").at(-1) ?? "";
    engine = JSON.parse(answer) as Engine;
    process.env.PULUMI_HOME = engine.env.PULUMI_HOME;
  }
  return engine;
}

/**
 * Creates a stack of a program in this process. Its backend and the engine's own files are in
 * FOLDER/backend, which must exist.
 */
export async function createStack(
  args: InlineProgramArgs,
  folder: string,
  env: Record<string, string>,
): Promise<Stack> {
  const { pulumi, env: its } = findEngine();
  const backend = join(folder, "backend");
  return await LocalWorkspace.createStack(args, {
    workDir: backend,
    pulumiCommand: await PulumiCommand.get({ root: dirname(dirname(pulumi)) }),
    envVars: {
      ...its,
      PULUMI_BACKEND_URL: `file://${backend}`,
      // These stacks hold no real secret.
      PULUMI_CONFIG_PASSPHRASE: "made for a while",
      ...env,
    },
  });
}
