// SPDX-License-Identifier: Apache-2.0
import * as pulumi from "@pulumi/pulumi";

/**
 * In a unit test of a user's program (pulumi.runtime.setMocks), which must not dial; not where the
 * test has this word of an engine. The SDK has no public word for this.
 */
export function isMocked(unless = ""): boolean {
  const monitor = pulumi.runtime.getMonitor() ?? {};
  return "mocks" in monitor && !(unless in monitor);
}
