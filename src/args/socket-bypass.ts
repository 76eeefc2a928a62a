// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { type BypassArgs, bypassProperties } from "./bypass";
import { isCompiledBefore } from "./bypass-node-pool";
import { type Host, hostSchema } from "./host";
import { type NodePool, nodePoolSchema } from "./node-pool";
import { isForHosts, isTrafficOrObserve, type ObservedArgs, observeSchema } from "./observe";
import { type Rollout, rolloutSchema, strangers } from "./rollout";
import { isPending, shape, wrong, wrongHidden } from "./validation/schema";

/** Hosts and node pools, and what is the same on all of them. */
export interface SocketBypassArgs extends BypassArgs, ObservedArgs {
  /**
   * The hosts, each under a key that should not change, because the name of every resource of the
   * host contains it. Letters, digits and . _ - are allowed, at most 63. Default none.
   */
  hosts?: Record<string, Host>;
  /**
   * Node pools of Kubernetes clusters, each under a key that should not change, because the name of
   * every resource of the pool contains it. Lower-case letters, digits and dashes are allowed.
   * Needs the package of the Kubernetes provider of Pulumi. Default none.
   */
  nodePools?: Record<string, NodePool>;
  /**
   * Change the hosts one batch after another: the first host that fails stops those behind it.
   * Default: all at once.
   */
  rollout?: Rollout;
}

const hosts = places(
  hostSchema,
  "a map of at least one host",
  "name a host, as in { web1: { connection } }",
  /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/,
  "a host name of 1 to 63 letters, digits and . _ -, the first a letter or digit",
  "rename the host in this map",
);
const nodePools = places(
  nodePoolSchema,
  "a map of at least one node pool",
  "name a pool, as in { workers: { image } }",
  /^[a-z0-9]([a-z0-9-]{0,37}[a-z0-9])?$/,
  "a pool name of 1 to 39 lower-case letters, digits and dashes",
  "rename the pool in this map",
);

const inside = "write the map itself and put Outputs inside its entries, because the names are needed before";

/** A map of at least one of these entries, whose keys are valid names. */
function places(entry: z.ZodType, expected: string, fix: string, names: RegExp, name: string, rename: string) {
  return z
    .unknown()
    .check((context) => {
      const { value } = context;
      if (value === undefined) return;
      const isMap = typeof value === "object" && value !== null && !Array.isArray(value) && !isPending(value);
      if (!isMap || Object.keys(value).length === 0) {
        context.issues.push(wrongHidden(value, [], expected, isPending(value) ? inside : fix));
        return;
      }
      for (const [key, one] of Object.entries(value)) {
        if (!names.test(key)) context.issues.push(wrong(key, [key], name, rename));
        const issues = entry.safeParse(one, { reportInput: true }).error?.issues ?? [];
        for (const issue of issues)
          context.issues.push({ ...issue, path: [key, ...issue.path], continue: true } as never);
      }
    })
    .optional();
}

/** @internal */
export const socketBypassSchema = shape({
  ...bypassProperties,
  observe: observeSchema.optional(),
  hosts,
  nodePools,
  rollout: rolloutSchema.optional(),
}).check((context) => {
  const { rollout, observe, hosts: declared, nodePools: pools } = context.value;
  isTrafficOrObserve(context as never);
  if (declared === undefined && pools === undefined) {
    const fix = "name a host, as in { web1: { connection } }, or a pool in nodePools";
    context.issues.push(wrong(undefined, ["hosts"], "a map of at least one host", fix));
  }
  if (pools !== undefined) {
    isCompiledBefore(context as never);
    if (typeof pools === "object" && pools !== null && !isPending(pools)) isForHosts(observe, pools, context.issues);
    for (const key of sharedKeys(declared, pools)) {
      // Both are in the output `logins`.
      const fix = "rename the pool in this map";
      context.issues.push(wrong(key, ["nodePools", key], "a pool name that no host has", fix));
    }
  }
  const locals = localHosts(declared);
  if (locals.length > 1) {
    const fix = "each of them would be the machine that runs Pulumi; leave out all but one, or give them connections";
    context.issues.push(wrong(locals.join(", "), ["hosts"], "at most one host with local: true", fix));
  }
  for (const [at, name] of isPending(declared) ? [] : strangers(rollout, declared ?? {})) {
    const fix = "use a name of the map hosts, or remove it";
    context.issues.push(wrong(name, ["rollout", "canary", at], "a host that is declared", fix));
  }
});

/** The names of the hosts that say that they are the machine that runs Pulumi. */
function localHosts(hosts: unknown): string[] {
  if (typeof hosts !== "object" || hosts === null || isPending(hosts)) return [];
  const isLocal = (one: unknown) => typeof one === "object" && one !== null && "local" in one && one.local === true;
  return Object.entries(hosts).flatMap(([name, one]) => (isLocal(one) ? [name] : []));
}

function sharedKeys(hosts: unknown, pools: unknown): string[] {
  const [first = [], second = []] = [hosts, pools].map((map) =>
    typeof map === "object" && map !== null && !isPending(map) ? Object.keys(map) : [],
  );
  return first.filter((key) => second.includes(key));
}
