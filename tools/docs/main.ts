// SPDX-License-Identifier: Apache-2.0
// Writes the pages, and parts of pages, that are made from sources: `npx tsx tools/docs/main.ts`.
import * as fs from "node:fs";
import { join, resolve } from "node:path";
import { makePages } from "./pages";

const root = resolve(__dirname, "../..");

async function main(): Promise<void> {
  for (const [path, text] of await makePages(root)) {
    const whole = join(root, path);
    if (fs.existsSync(whole) && fs.readFileSync(whole, "utf8") === text) continue;
    fs.writeFileSync(whole, text);
    process.stdout.write(`${path}\n`);
  }
}

void main();
