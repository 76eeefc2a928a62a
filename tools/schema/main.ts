// SPDX-License-Identifier: Apache-2.0
// Writes schema.json, from which Pulumi makes the packages of other languages:
// `npx tsx tools/schema/main.ts`
import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { makeSchema } from "./make";

const root = resolve(__dirname, "../..");

writeFileSync(join(root, "schema.json"), makeSchema(root));
