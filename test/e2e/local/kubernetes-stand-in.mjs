#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// A stand-in for the Kubernetes provider: it accepts any inputs, keeps secrets secret, and knows no
// cluster.
import { createRequire } from "node:module";

// The provider's half of the SDK has no entry for import.
const { main } = createRequire(import.meta.url)("@pulumi/pulumi/provider/server.js");

const keep = (inputs) => ({ id: "one", outs: inputs });
main({ version: "4.23.0", create: async (_urn, inputs) => keep(inputs) }, process.argv.slice(2));
