// SPDX-License-Identifier: Apache-2.0
import * as pulumi from "@pulumi/pulumi";

/**
 * Whether the program runs in a unit test (pulumi.runtime.setMocks), which must not dial. A test
 * whose mocks have the function `unless` of an engine does not count. The SDK has no public
 * function for this.
 */
export function isMocked(unless = ""): boolean {
  const monitor = pulumi.runtime.getMonitor() ?? {};
  return "mocks" in monitor && !(unless in monitor);
}
