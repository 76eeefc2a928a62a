// SPDX-License-Identifier: Apache-2.0
// The pages that are made from sources, in whole or in part.
import * as fs from "node:fs";
import { join } from "node:path";
import { helpText } from "../../src/cli/arguments";
import { argumentsPage, outputsPage } from "./arguments";
import { readDeclarations } from "./declarations";
import { packageErrors } from "./error-texts";
import { errorsPage } from "./errors";
import { flagsText, readFlags, readVerbs, verbsText } from "./host-script";
import { withSection } from "./markdown";
import { metricsText, readMetrics } from "./metrics";
import { mockEngine } from "./refusals";
import { scriptErrors } from "./shell-texts";

/** The text of each page by its path. */
export async function makePages(root: string): Promise<ReadonlyMap<string, string>> {
  await mockEngine();
  const declarations = readDeclarations(["args", "components", "commands"].map((name) => join(root, "src", name)));
  const read = (name: string) => fs.readFileSync(join(root, "docs/reference", name), "utf8");
  const verbs = withSection(read("host-script.md"), "verbs", verbsText(readVerbs(root)));
  const pages = {
    "arguments.md": argumentsPage(declarations),
    "outputs.md": outputsPage(declarations),
    "errors.md": errorsPage([...scriptErrors(root), ...packageErrors(root)]),
    "host-script.md": withSection(verbs, "flags", flagsText(readFlags(root))),
    "cli.md": withSection(read("cli.md"), "help", `\`\`\`\n${helpText()}\n\`\`\``),
    "metrics.md": withSection(read("metrics.md"), "metrics", metricsText(readMetrics(root))),
  };
  return new Map(Object.entries(pages).map(([name, text]) => [`docs/reference/${name}`, text]));
}
