// SPDX-License-Identifier: Apache-2.0
import type * as pulumi from "@pulumi/pulumi";

// What the SDK has no public functions for is in this file.

/**
 * The value of an output, once it is there. Unlike `apply` it makes no other output, so the SDK
 * neither copies the value piece by piece nor taints it with the secrets it came from.
 */
export function promiseOf<T>(output: pulumi.Output<T>): Promise<T> {
  return (output as unknown as { promise(): Promise<T> }).promise();
}

/** Whether the value of an output is known, which in a preview it may not be. */
export function isKnown(output: pulumi.Output<unknown>): Promise<boolean> {
  return (output as unknown as { readonly isKnown: Promise<boolean> }).isKnown;
}

/** The value of an output; undefined if it is not known, or failed. */
export async function valueIfKnown<T>(output: pulumi.Output<T>): Promise<T | undefined> {
  return (await isKnown(output).catch(() => false)) ? await promiseOf(output).catch(() => undefined) : undefined;
}
