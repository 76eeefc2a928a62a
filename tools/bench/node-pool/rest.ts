// SPDX-License-Identifier: Apache-2.0
import { setTimeout } from "node:timers/promises";
import type { Node } from "../../../test/e2e/kubernetes/cluster/cluster";

const seconds = 60;

// The cgroups of the loader's pod count all processes that the pod ever had, and the kernel's
// memory for its maps.
const look = `
  pid=$(pgrep -of '^/state/files/probe-[^ ]* serve')
  pod() { awk -F: -v is="$1" '("," $2 ",") ~ ("," is ",") { print "/sys/fs/cgroup/" $2 $3 "/.." }' "/proc/$pid/cgroup"; }
  awk '/^VmRSS:/ { print $2 }' "/proc/$pid/status" && cat "$(pod memory)/memory.usage_in_bytes" "$(pod cpuacct)/cpuacct.usage"`;

/** The MiB of a loader's process and of its pod, and the pod's share of one CPU. */
export interface Rest {
  readonly rssMiB: number;
  readonly podMiB: number;
  readonly cpuShare: number;
}

/**
 * The largest values of all nodes, during a minute in which nothing happens but the kubelet's
 * probes.
 */
export async function measureRest(nodes: readonly Node[], signal: AbortSignal): Promise<Rest> {
  const before = await Promise.all(nodes.map(lookAt));
  await setTimeout(seconds * 1000, undefined, { signal });
  const after = await Promise.all(nodes.map(lookAt));
  const shares = after.map(({ ns }, at) => (ns - (before[at]?.ns ?? Number.NaN)) / (seconds * 1e9));
  const largest = (values: readonly number[]) => Number(Math.max(...values).toPrecision(2));
  return {
    rssMiB: largest(after.map(({ rss }) => rss / 1024)),
    podMiB: largest(after.map(({ bytes }) => bytes / 2 ** 20)),
    cpuShare: largest(shares),
  };
}

async function lookAt(node: Node): Promise<{ rss: number; bytes: number; ns: number }> {
  const lines = (await node.run("sh", "-c", look)).trim().split("\n");
  const [rss, bytes, ns] = lines.map(Number);
  if (!rss || !bytes || !ns) throw new Error(`${node.name}: expected a loader at rest, found ${lines.join(", ")}`);
  return { rss, bytes, ns };
}
