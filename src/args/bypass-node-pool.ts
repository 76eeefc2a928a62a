// SPDX-License-Identifier: Apache-2.0
import type { z } from "zod";
import { type BypassArgs, bypassProperties } from "./bypass";
import { imageIsThere, type NodePool, poolProperties, scraperGetsIn } from "./node-pool";
import { isTraffic } from "./observe";
import type { Traffic } from "./traffic";
import { isPending, shape, wrong } from "./validation/schema";

/** One node pool and all its settings. */
export interface BypassNodePoolArgs extends BypassArgs, NodePool {
  /**
   * Which connections may skip the TCP/IP stack. An explicit choice: ports, cidrs, or everything.
   */
  traffic: Traffic;
}

/** A pod cannot compile, because the image has no compiler. @internal */
export const isCompiledBefore: z.core.CheckFn<Record<string, unknown>> = (context) => {
  const { bpf } = context.value;
  if (typeof bpf !== "object" || bpf === null || isPending(bpf) || !("compile" in bpf)) return;
  if (bpf.compile !== "target") return;
  const fix = 'a pod cannot compile; use "prebuilt" or "deployer"';
  context.issues.push(wrong("target", ["bpf", "compile"], '"prebuilt" or "deployer"', fix));
};

/** @internal */
export const bypassNodePoolSchema = shape({ ...bypassProperties, ...poolProperties })
  .check(isTraffic)
  .check(imageIsThere)
  .check(scraperGetsIn)
  .check(isCompiledBefore);
