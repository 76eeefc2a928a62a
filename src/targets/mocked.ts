// SPDX-License-Identifier: Apache-2.0
import * as pulumi from "@pulumi/pulumi";

/** What the mocks have that stand in for an engine, as in tests of this package. */
export const engineMark = "standsInForEngine";

/**
 * Whether the program runs in a unit test (pulumi.runtime.setMocks), which must reach no host, run
 * no program and compile nothing. A test whose mocks have the property `unless` does not count. The
 * SDK has no public function for this.
 */
export function isMocked(unless = engineMark): boolean {
  const monitor = pulumi.runtime.getMonitor() ?? {};
  return "mocks" in monitor && !(unless in monitor);
}
