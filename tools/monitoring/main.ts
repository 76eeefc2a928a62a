// SPDX-License-Identifier: Apache-2.0
// Writes what is made of other files in monitoring/: `npx tsx tools/monitoring/main.ts`
import { writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { made } from "./made";

for (const [name, text] of Object.entries(made())) writeFileSync(resolve(__dirname, "../../monitoring", name), text);
