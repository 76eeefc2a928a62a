// SPDX-License-Identifier: Apache-2.0
import type { z } from "zod";
import { type BypassArgs, bypassProperties } from "./bypass";
import { imageIsThere, type NodePoolArgs, poolProperties, scraperGetsIn } from "./node-pool";
import { isTraffic } from "./observe";
import type { TrafficArgs } from "./traffic";
import { isPending, shape, wrong } from "./validation/schema";

/** One node pool with all that is said about it. */
export interface BypassNodePoolArgs extends BypassArgs, NodePoolArgs {
  /**
   * Which connections may skip the TCP/IP stack. An explicit choice: ports, cidrs, or everything.
   */
  traffic: TrafficArgs;
}

/** A pod cannot compile, because the image has no compiler. @internal */
export const isCompiledBefore: z.core.CheckFn<Record<string, unknown>> = (context) => {
  const { object } = context.value;
  if (typeof object !== "object" || object === null || isPending(object) || !("compile" in object)) return;
  if (object.compile !== "target") return;
  const fix = 'a pod cannot compile; use "prebuilt" or "deployer"';
  context.issues.push(wrong("target", ["object", "compile"], '"prebuilt" or "deployer"', fix));
};

/** @internal */
export const bypassNodePoolSchema = shape({ ...bypassProperties, ...poolProperties })
  .check(isTraffic)
  .check(imageIsThere)
  .check(scraperGetsIn)
  .check(isCompiledBefore);
