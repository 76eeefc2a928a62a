// SPDX-License-Identifier: Apache-2.0
import * as fs from "node:fs";
import { join } from "node:path";
import { packageRoot } from "../bundle/package-root";
import { type Arguments, helpText, readArguments } from "./arguments";
import { Context } from "./context";
import { hostsOf } from "./hosts";
import { Problem } from "./problem";
import { advise } from "./verbs/advise";
import { flows } from "./verbs/flows";
import { metrics } from "./verbs/metrics";
import { record } from "./verbs/record";
import { report } from "./verbs/report";
import { status } from "./verbs/status";
import { top } from "./verbs/top";

const verbs = { status, flows, metrics, advise, top, record };

/** Runs one command line, and gives its exit code. */
export async function main(words: readonly string[]): Promise<number> {
  // Whoever reads us may have gone.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 141 : 1));
  const print = (text: string) => process.stdout.write(`${text}\n`);
  try {
    const given = readArguments(words);
    if (given === "version") print(packageVersion());
    else if (given === "help") print(helpText());
    else return await run(given, print);
    return 0;
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    console.error(`socket-bypass: ${error.message}`);
    return error.code;
  }
}

async function run(given: Arguments, print: (text: string) => void): Promise<number> {
  if (given.verb === "report") return report(given, print);
  return await verbs[given.verb](new Context(given, await hostsOf(given, (text) => console.error(text)), print));
}

function packageVersion(): string {
  return JSON.parse(fs.readFileSync(join(packageRoot(), "package.json"), "utf8")).version;
}
