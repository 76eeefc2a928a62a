// SPDX-License-Identifier: Apache-2.0
import * as pulumi from "@pulumi/pulumi";
import type { Where } from "../args/validation/check";
import type { NormalizedBypass } from "../install/normalize";

/**
 * The component that a SocketBypass creates for a host or a pool. It has the type of BypassHost or
 * BypassNodePool; its arguments are checked together with those of the SocketBypass.
 */
export class Child extends pulumi.ComponentResource {
  constructor(type: string, name: string, opts: pulumi.ComponentResourceOptions) {
    super(type, name, {}, opts);
  }

  public tell(outputs: pulumi.Inputs): void {
    this.registerOutputs(outputs);
  }
}

/** One host or pool to install, which stands alone or belongs to a SocketBypass. */
export interface Part {
  readonly component: pulumi.ComponentResource;
  readonly name: string;
  /** The parts that tell its instance from the others of the stack. */
  readonly key: readonly string[];
  /** What errors call it. */
  readonly where: Where;
  readonly shared: NormalizedBypass;
  readonly opts: pulumi.ComponentResourceOptions;
}
