// SPDX-License-Identifier: Apache-2.0
// The rules of this repository that no other linter knows: `npm run lint:rules`. Prints a line for
// each fault, and exits with 1 if there is one.
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { join, resolve } from "node:path";
import { checkComments } from "./comments";
import { checkImports } from "./imports";
import { checkLength } from "./length";
import { checkLinks } from "./links";
import { checkNames } from "./names";
import { checkPages } from "./pages";
import { checkParts } from "./parts";

const root = resolve(__dirname, "../..");

function main(): number {
  const words = ["ls-files", "--cached", "--others", "--exclude-standard", "-z"];
  const listed = execFileSync("git", words, { cwd: root, encoding: "utf8" }).split("\0").filter(Boolean);
  const files = new Map<string, string>();
  for (const path of new Set(listed)) {
    const whole = join(root, path);
    // A file that is deleted but not yet committed is listed too.
    if (fs.existsSync(whole) && fs.statSync(whole).isFile()) files.set(path, fs.readFileSync(whole, "utf8"));
  }
  const faults = [
    ...checkLength(files),
    ...checkParts(files),
    ...checkImports(files),
    ...checkComments(files),
    ...checkLinks(files),
    ...checkNames(files),
    ...checkPages(files),
  ];
  for (const fault of faults) console.error(fault);
  return faults.length > 0 ? 1 : 0;
}

process.exitCode = main();
