// SPDX-License-Identifier: Apache-2.0
import type * as pulumi from "@pulumi/pulumi";
import { localTarget } from "./local";
import { sshTarget } from "./ssh";
import type { Connection } from "./ssh-client";
import type { Target } from "./target";

/** Chooses where a host's commands run. */
export function targetFor(host: {
  readonly become: pulumi.Output<string>;
  readonly machine: pulumi.Output<string | undefined>;
  readonly connection?: pulumi.Output<Connection>;
}): Target {
  const { become, machine, connection } = host;
  return connection === undefined ? localTarget(become, machine) : sshTarget(connection, become, machine);
}
