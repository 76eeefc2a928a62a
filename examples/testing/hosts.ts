// SPDX-License-Identifier: Apache-2.0
// It is a file of its own because Pulumi makes an output of whatever index.ts exports.
import type * as pulumi from "@pulumi/pulumi";
import type { Host } from "socket-bypass";

export interface Machine {
  readonly address: string;
  readonly hostKey: string;
}

/** One host for each machine. */
export function hostsOf(
  machines: Readonly<Record<string, Machine>>,
  privateKey: pulumi.Input<string>,
): Record<string, Host> {
  return Object.fromEntries(
    Object.entries(machines).map(([name, { address, hostKey }]) => [
      name,
      { connection: { host: address, user: "ops", privateKey, hostKey }, become: "sudo -n" },
    ]),
  );
}
