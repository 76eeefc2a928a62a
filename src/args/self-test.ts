// SPDX-License-Identifier: Apache-2.0
import type * as pulumi from "@pulumi/pulumi";
import { flag, shape, whole } from "./validation/schema";

/** The test, in a private cgroup, that this kernel behaves as the bypass needs. */
export interface SelfTest {
  /**
   * Run the self-test before the production cgroup is touched. Default true.
   */
  enabled?: pulumi.Input<boolean>;
  /**
   * Seconds that the self-test may take, from 5 to 600; it fails after that. Default 60.
   */
  timeoutSeconds?: pulumi.Input<number>;
}

/** @internal */
export const selfTestDefaults = { enabled: true, timeoutSeconds: 60 };

/** @internal */
export const selfTestSchema = shape({ enabled: flag(), timeoutSeconds: whole(5, 600, "seconds") });
