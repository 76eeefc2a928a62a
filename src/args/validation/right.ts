// SPDX-License-Identifier: Apache-2.0
import * as pulumi from "@pulumi/pulumi";
import type { ZodType } from "zod";
import { checkLater, type Where } from "./check";

/**
 * Whether something is right, which is told once all of it is known, and in a preview at once. It
 * gives the first error and does not fail with it. While the SDK's debugger is on, as in each
 * program in Node, V8 walks along every way through the promises behind one that fails
 * (Isolate::PromiseHasUserDefinedRejectHandler), and each `apply` multiplies the ways by about
 * twenty: three wrong values took minutes and gigabytes.
 */
export type Right = Promise<{ readonly error: unknown } | undefined>;

/**
 * What is said about one thing, checked as it gets known. The output of a wrong value is never
 * known and does not fail; whoever uses one asks `right` by `when`, since the SDK lets what depends
 * on a resource with a failed property wait for ever, and a program in the process of the
 * Automation API with it.
 */
export function checker(where: Where) {
  const all: Right[] = [];
  return {
    settle<T>(schema: ZodType, value: T, ...names: string[]): pulumi.Output<pulumi.Unwrap<T>> {
      all.push(errorOf(checkLater(schema, value, { ...where, path: [...where.path, ...names] })));
      const settled = pulumi.output(value);
      return settled.apply((known) => (schema.safeParse(known).success ? known : pulumi.unknown)) as typeof settled;
    },
    /** Of all that has been settled so far. */
    right: (): Right => allRight(all),
  };
}

export async function allRight(all: readonly Right[]): Right {
  return (await Promise.all(all)).find((wrong) => wrong !== undefined);
}

/**
 * Gives the output where all is right, and fails elsewhere. Nothing but the property of a resource
 * should depend on it.
 */
export function when<T>(right: Right, output: pulumi.Output<T>): pulumi.Output<T> {
  const given = right.then((wrong) => {
    if (wrong !== undefined) throw wrong.error;
    return output;
  });
  return pulumi.output(given) as pulumi.Output<T>;
}

/**
 * The engine is told of it all the same, because the SDK has more promises of an output than this
 * one.
 */
function errorOf(output: pulumi.Output<unknown>): Right {
  // The SDK has no public word for it.
  const { promise } = output as unknown as { promise(): Promise<unknown> };
  return promise().then(
    () => undefined,
    (error: unknown) => ({ error }),
  );
}
