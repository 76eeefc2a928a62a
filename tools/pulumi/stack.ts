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
  engine ??= ask<Engine>();
  process.env.PULUMI_HOME = engine.env.PULUMI_HOME;
  return engine;
}

/** The engine with a CLI that also runs programs in YAML, Python and Go. */
export function findPolyglot(): Engine {
  const { polyglot, ...found } = ask<Engine & { readonly polyglot: string }>("--languages");
  return { ...found, pulumi: polyglot };
}

function ask<Answer>(...options: string[]): Answer {
  const words = ["tools/pulumi/ensure.mjs", "--json", ...options];
  const cwd = resolve(__dirname, "../..");
  const said = execFileSync(process.execPath, words, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  return JSON.parse(said.trim().split("\n").at(-1) ?? "") as Answer;
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
