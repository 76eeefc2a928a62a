// SPDX-License-Identifier: Apache-2.0
import * as pulumi from "@pulumi/pulumi";
import type { Where } from "../args/validation/check";
import type { NormalizedBypass } from "../install/normalize";

/**
 * What a SocketBypass makes for a host or a pool: a component of the type of BypassHost or
 * BypassNodePool, whose arguments have been checked with all the others.
 */
export class Child extends pulumi.ComponentResource {
  constructor(type: string, name: string, opts: pulumi.ComponentResourceOptions) {
    super(type, name, {}, opts);
  }

  public tell(outputs: pulumi.Inputs): void {
    this.registerOutputs(outputs);
  }
}

/** What is installed, whether it stands alone or is one of a SocketBypass. */
export interface Part {
  readonly component: pulumi.ComponentResource;
  readonly name: string;
  /** What tells its instance from others of the stack. */
  readonly key: readonly string[];
  /** How errors call it. */
  readonly where: Where;
  readonly shared: NormalizedBypass;
  readonly opts: pulumi.ComponentResourceOptions;
}
