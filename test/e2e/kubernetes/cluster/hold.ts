// SPDX-License-Identifier: Apache-2.0
/** Makes a cluster of one node, prints its keeper's process id, and waits to be killed. */
import { Cluster } from "./cluster.js";

async function main(): Promise<void> {
  console.log((await Cluster.make({ nodes: 1 })).keeper);
  setInterval(() => {}, 60_000);
}

void main();
