// SPDX-License-Identifier: Apache-2.0
import * as pulumi from "@pulumi/pulumi";

const mostNames = 5;

/** Says in a preview, once for all hosts, that they are only observed. */
export function sayNothingLoads(hosts: readonly string[], resource: pulumi.Resource): void {
  if (!pulumi.runtime.isDryRun()) return;
  const more = hosts.length - mostNames;
  const names = `${hosts.slice(0, mostNames).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
  const text = `observe: without traffic, up loads nothing into the datapath of ${names}: it looks at the connections and leaves no file`;
  // The program must not fail when this cannot be logged.
  pulumi.log.info(text, resource).catch(() => undefined);
}
