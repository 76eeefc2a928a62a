// SPDX-License-Identifier: Apache-2.0
import * as pulumi from "@pulumi/pulumi";
import type { z } from "zod";
import { ArgsError, problemsOf } from "./problem";

/** Where arguments are given: to which resource, and under which of its properties. */
export interface Where {
  readonly resource: pulumi.Resource;
  /** The resource as errors call it: `SocketBypass "edge"`. */
  readonly what: string;
  readonly path: readonly PropertyKey[];
}

/** Throws one ArgsError with all problems of all values that are known already. */
export function checkNow(schema: z.ZodType, args: unknown, where: Where): void {
  throwProblems(schema, args, where, false);
}

/** Gives the value once it is known and valid; fails with an ArgsError when it is not valid. */
export function checkLater<T>(schema: z.ZodType, value: T, where: Where): pulumi.Output<pulumi.Unwrap<T>> {
  const output = pulumi.output(value);
  return output.apply(async (known) => {
    throwProblems(schema, known, where, await pulumi.isSecret(output));
    return known;
  }) as pulumi.Output<pulumi.Unwrap<T>>;
}

function throwProblems(schema: z.ZodType, value: unknown, where: Where, isSecret: boolean): void {
  const issues = schema.safeParse(value, { reportInput: true }).error?.issues ?? [];
  if (issues.length > 0) {
    throw new ArgsError(where.resource, where.what, problemsOf(issues, where.path, isSecret));
  }
}
