// SPDX-License-Identifier: Apache-2.0
import type * as pulumi from "@pulumi/pulumi";

/**
 * A component's options apply to its children, which inherit providers from the parent by
 * themselves.
 */
export function childOptions(
  parent: pulumi.Resource,
  opts: pulumi.ComponentResourceOptions,
): pulumi.CustomResourceOptions {
  const { customTimeouts, deletedWith, dependsOn, protect, retainOnDelete } = opts;
  return {
    parent,
    ...(dependsOn === undefined ? {} : { dependsOn }),
    ...(customTimeouts === undefined ? {} : { customTimeouts }),
    ...(protect === undefined ? {} : { protect }),
    ...(retainOnDelete === undefined ? {} : { retainOnDelete }),
    ...(deletedWith === undefined ? {} : { deletedWith }),
  };
}
