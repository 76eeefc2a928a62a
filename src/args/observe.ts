// SPDX-License-Identifier: Apache-2.0
import type * as pulumi from "@pulumi/pulumi";
import type { z } from "zod";
import { shape, text, whole, wrong } from "./validation/schema";

/** Two looks at the connections of a host, which load nothing into the datapath. */
export interface Observe {
  /**
   * Seconds between the two looks, from 1 to 600. Choose a time with the usual traffic. Default 30.
   */
  seconds?: pulumi.Input<number>;
  /**
   * Any printable text of 1 to 200 characters, such as a date. With another text, `up` looks again.
   * Otherwise `up` looks again only if `seconds`, the version of this package, the connection, or
   * `adopt`, `become`, `machine` or `bpf.compile` of the host change. Default none.
   */
  rerun?: pulumi.Input<string>;
}

/** What only hosts can do, and node pools cannot. */
export interface ObservedArgs {
  /**
   * See what would gain: which connections of each host would gain from the bypass, and which
   * programs it would harm. The result is the output `advice`. Without `traffic` nothing is loaded
   * into the datapath and nothing stays on the host. With `traffic`, a warning names the listed
   * ports that do not gain and the unlisted ones that would. For hosts only. Default none.
   */
  observe?: Observe;
}

/** @internal */
export const observeDefaults = { seconds: 30 };

/** @internal */
export const observeSchema = shape({
  seconds: whole(1, 600, "seconds"),
  rerun: text("a printable text of 1 to 200 characters", 'give any text, such as "2026-12-01"', (value) =>
    /^[\x20-\x7e]{1,200}$/.test(value),
  ),
});

const trafficFix = "give ports, cidrs, or everything: true";

/** A host without traffic is only observed. @internal */
export const isTrafficOrObserve: z.core.CheckFn<Record<string, unknown>> = ({ value, issues }) => {
  if (value.traffic !== undefined || value.observe !== undefined) return;
  const fix = `${trafficFix}; or give observe, to see first which ports would gain`;
  issues.push(wrong(undefined, ["traffic"], "a choice of traffic", fix));
};

/** @internal */
export const isTraffic: z.core.CheckFn<Record<string, unknown>> = ({ value, issues }) => {
  if (value.traffic === undefined) issues.push(wrong(undefined, ["traffic"], "a choice of traffic", trafficFix));
};

/** @internal */
export function isForHosts(observe: unknown, nodePools: object, issues: z.core.$ZodRawIssue[]): void {
  if (observe === undefined) return;
  const fix = "leave out observe or nodePools; docs/reference/advise.md says how to look at the connections of a node";
  issues.push(wrong(Object.keys(nodePools).join(", "), ["observe"], "hosts only, and no node pool", fix));
}
