// SPDX-License-Identifier: Apache-2.0
import * as pulumi from "@pulumi/pulumi";
import type { HostArgs } from "../args/host";

/** One warning for all hosts, by what they are called. */
export function warnOfUnknownKeys(hosts: Readonly<Record<string, HostArgs>>, resource: pulumi.Resource): void {
  const names = Object.entries(hosts).flatMap(([name, host]) => (isOpen(host) ? [name] : []));
  if (names.length === 0) return;
  const text = `${names.join(", ")}: no host key is checked (allowUnknownHostKey), so whoever answers at that address gets the password and runs as root; give hostKey`;
  // A warning that is not told is no reason to fail.
  pulumi.log.warn(text, resource).catch(() => undefined);
}

function isOpen({ connection, allowUnknownHostKey }: HostArgs): boolean {
  if (connection === undefined || allowUnknownHostKey !== true) return false;
  return !hasKey(connection);
}

/** As far as it is known now. */
function hasKey(login: unknown): boolean {
  if (typeof login !== "object" || login === null || !("hostKey" in login) || login.hostKey === undefined) return false;
  return !("proxy" in login) || login.proxy === undefined || hasKey(login.proxy);
}
