// SPDX-License-Identifier: Apache-2.0
import * as pulumi from "@pulumi/pulumi";
import type { z } from "zod";
import { ArgsError, problemsOf } from "./problem";

/** Where arguments stand: in which resource, and under which property of it. */
export interface Where {
  readonly resource: pulumi.Resource;
  /** For people: `SocketBypass "edge"`. */
  readonly what: string;
  readonly path: readonly PropertyKey[];
}

/** Throws one ArgsError with all problems of all values that are there already. */
export function checkNow(schema: z.ZodType, args: unknown, where: Where): void {
  throwProblems(schema, args, where, false);
}

/** Gives the value once it is known and right; fails with an ArgsError when it is wrong. */
export function checkLater<T>(schema: z.ZodType, value: T, where: Where): pulumi.Output<pulumi.Unwrap<T>> {
  const settled = pulumi.output(value);
  return settled.apply(async (known) => {
    throwProblems(schema, known, where, await pulumi.isSecret(settled));
    return known;
  }) as pulumi.Output<pulumi.Unwrap<T>>;
}

function throwProblems(schema: z.ZodType, value: unknown, where: Where, isSecret: boolean): void {
  const issues = schema.safeParse(value, { reportInput: true }).error?.issues ?? [];
  if (issues.length > 0) {
    throw new ArgsError(where.resource, where.what, problemsOf(issues, where.path, isSecret));
  }
}
