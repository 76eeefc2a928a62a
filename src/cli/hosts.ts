// SPDX-License-Identifier: Apache-2.0
import type { Arguments } from "./arguments";
import { flagOf, type Host, hostAt } from "./host";
import { nodesOf, type Pool } from "./pods";
import { misused, Problem } from "./problem";
import { type Logins, readLogins } from "./stack";

/** The hosts and nodes that a command line names; `warn` hears of what is left out. */
export async function hostsOf(given: Arguments, warn: (text: string) => void): Promise<readonly Host[]> {
  if (given.stack === undefined) return given.ssh.map((destination) => hostAt(destination, given));
  const unused = (["become", "stateDir"] as const).find((flag) => given[flag] !== undefined);
  if (unused !== undefined)
    throw misused(`--stack: expected no --${flagOf(unused)}, which the stack has for each host`);
  const { hosts, pools } = chosen(await readLogins(given.stack, given.stackOutput, given.cwd), given);
  if (pools.length === 0 || ["advise", "record"].includes(given.verb)) return withoutPools(hosts, pools, given, warn);
  const all = (await Promise.all(pools.map((pool) => nodesOf(pool, given.context)))).flat();
  const nodes = all.filter(({ name, fault }) => !given.node || fault !== undefined || name.endsWith(`/${given.node}`));
  if (given.node === undefined) return [...hosts, ...nodes];
  if (nodes.length > 0) return nodes;
  const places = pools.map(({ name }) => name).join(", ");
  throw misused(`--node: expected a node with a pod of ${places}, found ${JSON.stringify(given.node.slice(0, 80))}`);
}

/** What --instance, --pool and --node leave. */
function chosen({ hosts, pools }: Logins, { instance, pool, node }: Arguments): Logins {
  const isWanted = (one: { readonly instance?: string }) => instance === undefined || one.instance === instance;
  const wanted = { hosts: hosts.filter(isWanted), pools: pools.filter(isWanted) };
  if (wanted.hosts.length + wanted.pools.length === 0) {
    const its = [...hosts, ...pools].map((one) => one.instance).join(", ");
    throw misused(`--instance: expected one of this stack (${its}), found ${JSON.stringify(instance)}`);
  }
  if (pool === undefined && node === undefined) return wanted;
  const itsPools = wanted.pools.filter(({ name }) => pool === undefined || name === pool);
  if (itsPools.length > 0) return { hosts: [], pools: itsPools };
  const names = pools.map(({ name }) => name).join(", ") || "which has none";
  if (pool === undefined) throw misused(`--node: expected a stack with node pools, found one with hosts alone`);
  throw misused(`--pool: expected a node pool of this stack (${names}), found ${JSON.stringify(pool)}`);
}

/** `advise` and `record` look at processes and network namespaces, of which a pod sees its own. */
function withoutPools(
  hosts: readonly Host[],
  pools: readonly Pool[],
  { verb }: Arguments,
  warn: (text: string) => void,
): readonly Host[] {
  if (pools.length === 0) return hosts;
  const names = pools.map(({ name }) => name).join(", ");
  const why = "a pod does not see the processes and network namespaces of its node";
  const said = `${verb} leaves out the node pools ${names}, because ${why}; docs/reference/advise.md says how to ask there`;
  if (hosts.length === 0) throw new Problem(said);
  warn(`socket-bypass: ${said}`);
  return hosts;
}
