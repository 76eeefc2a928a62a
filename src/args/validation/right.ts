// SPDX-License-Identifier: Apache-2.0
import * as pulumi from "@pulumi/pulumi";
import type { ZodType } from "zod";
import { checkLater, type Where } from "./check";
import { promiseOf } from "./outputs";
import { withOwnWords } from "./problem";

/**
 * Resolves with the first error, or with nothing if all is right, once everything is known, and in
 * a preview at once. It never rejects: while the SDK's debugger is on, as in each program in Node,
 * V8 walks along every way through the promises behind one that fails
 * (Isolate::PromiseHasUserDefinedRejectHandler), and each `apply` multiplies the ways by about
 * twenty, so that three wrong values took minutes and gigabytes.
 */
export type Right = Promise<{ readonly error: unknown } | undefined>;

/**
 * Checks values as they become known. The output of a wrong value never becomes known and does not
 * fail; whoever uses one must ask `right` by `when`. The SDK lets everything that depends on a
 * resource with a failed property wait for ever, and so would a program in the process of the
 * Automation API.
 */
export function checker(where: Where) {
  const all: Right[] = [];
  return {
    check<T>(schema: ZodType, value: T, ...names: string[]): pulumi.Output<pulumi.Unwrap<T>> {
      all.push(errorOf(checkLater(schema, value, { ...where, path: [...where.path, ...names] })));
      const given = pulumi.output(value);
      return given.apply((known) => (schema.safeParse(known).success ? known : pulumi.unknown)) as typeof given;
    },
    /** Covers all values that have been passed to `check` so far. */
    right: (): Right => allRight(all),
  };
}

// The SDK reports an error once for each object, so equal texts share one.
const failures = new Map<string, Error>();

/**
 * Makes something that may fail. Like the output of a wrong value, that of a failure never becomes
 * known and does not fail.
 */
export function attempt<N, T>(needs: pulumi.Output<N>, make: (needs: pulumi.Unwrap<N>) => T) {
  let failure: { readonly error: unknown } | undefined;
  const made = needs.apply((known) => {
    try {
      return make(known as pulumi.Unwrap<N>);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      const same = failures.get(error.message) ?? withOwnWords(error);
      failures.set(error.message, same);
      failure = { error: same };
      return pulumi.unknown;
    }
  }) as pulumi.Output<T>;
  const right: Right = errorOf(made).then((wrong) => wrong ?? failure);
  return { made, right };
}

export async function allRight(all: readonly Right[]): Right {
  return (await Promise.all(all)).find((wrong) => wrong !== undefined);
}

/**
 * Gives the output if all is right, and fails otherwise. Only properties of resources should depend
 * on the result.
 */
export function when<T>(right: Right, output: pulumi.Output<T>): pulumi.Output<T> {
  const given = right.then((wrong) => {
    if (wrong !== undefined) throw wrong.error;
    return output;
  });
  return pulumi.output(given) as pulumi.Output<T>;
}

/**
 * Gives the error of an output as a value. The engine still learns of the error, because the SDK
 * holds other promises of the same output.
 */
function errorOf(output: pulumi.Output<unknown>): Right {
  return promiseOf(output).then(
    () => undefined,
    (error: unknown) => ({ error }),
  );
}
