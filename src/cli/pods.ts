// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { printable } from "../commands/printable";
import { kubectlWords } from "./ask";
import type { Host } from "./host";
import { Problem } from "./problem";
import { runProgram } from "./run";

/** A node pool of a stack. */
export interface Pool {
  readonly name: string;
  readonly namespace: string;
  readonly daemonSet: string;
  readonly instance: string;
}

// Names become words of kubectl, so none may begin with a dash.
const name = z.string().regex(/^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/);
const podList = z.object({
  items: z
    .array(
      z.object({
        metadata: z.object({ name, creationTimestamp: z.string().max(64), deletionTimestamp: z.string().optional() }),
        spec: z.object({ nodeName: name.optional() }),
        status: z.object({ containerStatuses: z.array(z.object({ ready: z.boolean() })).optional() }),
      }),
    )
    .max(100_000),
});
type Pod = z.infer<typeof podList>["items"][number];

/** 10,000 pods. */
const largest = 128 * 1024 * 1024;

/**
 * Finds the nodes of a pool through the user's own `kubectl`. A pool whose pods are not found is
 * one host that says why.
 */
export async function nodesOf(pool: Pool, context?: string): Promise<readonly Host[]> {
  const { namespace, instance } = pool;
  try {
    const pods = await podsOf(pool, context);
    return pods.map(({ metadata, spec }) => ({
      // A pod that no node has yet takes the place of its node.
      ...{ name: `${pool.name}/${spec.nodeName ?? metadata.name}`, become: "", stateDir: "", instance },
      pod: { context, namespace, name: metadata.name },
    }));
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    return [{ name: pool.name, become: "", stateDir: "", instance, fault: error.message }];
  }
}

async function podsOf({ namespace, daemonSet, instance }: Pool, context?: string): Promise<readonly Pod[]> {
  const labels = `app.kubernetes.io/name=socket-bypass,app.kubernetes.io/instance=${instance}`;
  const words = [...kubectlWords({ context, namespace }), "get", "pods", `--selector=${labels}`, "--output=json"];
  const { code, stdout, stderr } = await runProgram("kubectl", words, {
    ...{ seconds: 60, largest },
    missing: "kubectl: expected this program on PATH, found none",
  });
  if (code !== 0)
    throw new Problem(`kubectl: ${printable(stderr.trim().split("\n").at(-1) ?? "") || `ended with ${code}`}`);
  const { data } = podList.safeParse(asJson(stdout));
  if (data === undefined) throw new Problem("kubectl: expected a list of pods, found something else");
  if (data.items.length === 0)
    throw new Problem(
      `expected pods of the DaemonSet ${daemonSet} in ${namespace}, found none; name the context of the pool's cluster by --context`,
    );
  const ofNodes = new Map<string, Pod>();
  // In a roll-out a node has two pods; either knows the node, and the last one here is kept.
  for (const pod of [...data.items].sort(byUse)) ofNodes.set(pod.spec.nodeName ?? pod.metadata.name, pod);
  return [...ofNodes].sort(([a], [b]) => a.localeCompare(b, "en", { numeric: true })).map(([, pod]) => pod);
}

/** The most useful last: one that stays and is ready, and of these the youngest. */
function byUse(a: Pod, b: Pod): number {
  return useOf(a).localeCompare(useOf(b), "en");
}

function useOf({ metadata, status }: Pod): string {
  const isReady = status.containerStatuses?.every(({ ready }) => ready) ?? false;
  return `${metadata.deletionTimestamp === undefined ? 1 : 0}${isReady ? 1 : 0}${metadata.creationTimestamp}`;
}

function asJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
