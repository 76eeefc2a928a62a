// SPDX-License-Identifier: Apache-2.0
/** Makes a cluster of one node, says who keeps it, and waits to be killed: `tsx hold.ts`. */
import { Cluster } from "./cluster.js";

async function main(): Promise<void> {
  console.log((await Cluster.make({ nodes: 1 })).keeper);
  setInterval(() => {}, 60_000);
}

void main();
