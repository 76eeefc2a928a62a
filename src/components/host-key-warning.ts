// SPDX-License-Identifier: Apache-2.0
import * as pulumi from "@pulumi/pulumi";
import type { Host } from "../args/host";

/** Gives one warning for all hosts whose key is not checked, with their names. */
export function warnOfUnknownKeys(hosts: Readonly<Record<string, Host>>, resource: pulumi.Resource): void {
  const names = Object.entries(hosts).flatMap(([name, host]) => (isOpen(host) ? [name] : []));
  if (names.length === 0) return;
  const text = `${names.join(", ")}: no host key is checked (allowUnknownHostKey), so whoever answers at that address gets the password and runs as root; give hostKey`;
  // The program must not fail when the warning cannot be logged.
  pulumi.log.warn(text, resource).catch(() => undefined);
}

function isOpen({ connection, allowUnknownHostKey }: Host): boolean {
  if (connection === undefined || allowUnknownHostKey !== true) return false;
  return !hasKey(connection);
}

/** Whether a login has a host key, as far as is known at this point of the program. */
function hasKey(login: unknown): boolean {
  if (typeof login !== "object" || login === null || !("hostKey" in login) || login.hostKey === undefined) return false;
  return !("proxy" in login) || login.proxy === undefined || hasKey(login.proxy);
}
