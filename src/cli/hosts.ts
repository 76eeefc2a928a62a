// SPDX-License-Identifier: Apache-2.0
import type { Arguments } from "./arguments";
import { flagOf, type Host, hostAt } from "./host";
import { misused } from "./problem";
import { readLogins } from "./stack";

/** The hosts that a command line names. */
export async function hostsOf(given: Arguments): Promise<readonly Host[]> {
  if (given.stack === undefined) return given.ssh.map((destination) => hostAt(destination, given));
  const unused = (["become", "stateDir"] as const).find((flag) => given[flag] !== undefined);
  if (unused !== undefined)
    throw misused(`--stack: expected no --${flagOf(unused)}, which the stack has for each host`);
  const all = await readLogins(given.stack, given.stackOutput, given.cwd);
  const wanted = all.filter(({ instance }) => given.instance === undefined || instance === given.instance);
  if (wanted.length > 0) return wanted;
  const its = all.map(({ instance }) => instance).join(", ");
  throw misused(`--instance: expected one of this stack (${its}), found ${JSON.stringify(given.instance)}`);
}
