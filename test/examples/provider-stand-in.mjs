#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// A stand-in for the provider of a cloud: it accepts any inputs, finds anything that is looked for,
// and knows no cloud.
import { createRequire } from "node:module";

// The provider's half of the SDK has no entry for import.
const { main } = createRequire(import.meta.url)("@pulumi/pulumi/provider/server.js");

main(
  { version: "1.0.0", invoke: async (_, inputs) => ({ outputs: { ...inputs, id: "found" } }) },
  process.argv.slice(2),
);
