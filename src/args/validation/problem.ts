// SPDX-License-Identifier: Apache-2.0
import { inspect } from "node:util";
import * as pulumi from "@pulumi/pulumi";
import type { core } from "zod";

/** One thing that is wrong with the arguments. */
export interface Problem {
  readonly path: string;
  readonly expected: string;
  readonly found: string;
  readonly fix: string;
}

/** Puts zod's findings into our words, one problem for each fact. */
export function problemsOf(
  issues: readonly core.$ZodIssue[],
  below: readonly PropertyKey[],
  isSecret: boolean,
): Problem[] {
  return issues.flatMap((issue): Problem[] => {
    const path = [...below, ...issue.path];
    if (issue.code === "unrecognized_keys") {
      return issue.keys.map((key) => ({
        path: pathText([...path, key]),
        expected: "a property that exists",
        found: describe(key),
        fix: issue.message,
      }));
    }
    // A string that was given instead of an object may be a login: "root:password@web1".
    const { expected, fix, isHidden } =
      issue.code === "custom" ? wordsOf(issue.params) : { expected: "an object", fix: issue.message, isHidden: true };
    const found = isSecret ? "a secret value" : isHidden ? describeHidden(issue.input) : describe(issue.input);
    return [{ path: pathText(path), expected, found, fix }];
  });
}

function wordsOf(params: Record<string, unknown> | undefined) {
  return { expected: `${params?.expected}`, fix: `${params?.fix}`, isHidden: params?.isHidden === true };
}

/** The path as a program would write it: `hosts["web 1"].stateDir`. */
export function pathText(path: readonly PropertyKey[]): string {
  return path
    .map((key, at) => {
      if (typeof key === "number") return `[${key}]`;
      if (!/^[A-Za-z_$][\w$]*$/.test(String(key))) return `[${JSON.stringify(String(key))}]`;
      return at === 0 ? String(key) : `.${String(key)}`;
    })
    .join("");
}

function describe(value: unknown): string {
  if (value === undefined || value === null) return "nothing";
  if (pulumi.Output.isInstance(value)) return "an Output";
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === "object") return Object.keys(value).length === 0 ? "an empty object" : "an object";
  if (typeof value === "function") return "a function";
  const text = typeof value === "string" ? JSON.stringify(value) : `${String(value)}`;
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}

/** Tells the kind of a value and nothing else of it. */
function describeHidden(value: unknown): string {
  if (value === "") return "an empty text";
  if (typeof value === "string") return "another text";
  return typeof value === "number" || typeof value === "bigint" ? "another number" : describe(value);
}

/**
 * Keeps an error from being inspected at length. The SDK inspects each unhandled error for its
 * trace, and from a resource it reaches all others: that took half a minute, in which the program
 * seemed to hang. Vitest copies each error of a failed test, which took gigabytes.
 */
export function withShortInspection<E extends Error>(error: E): E {
  return Object.defineProperties(error, {
    [inspect.custom]: { value: () => error.message },
    toJSON: { value: () => ({ name: error.name, message: error.message }) },
  });
}

/**
 * Keeps the message of an error from changing: the SDK would put "error serializing property" in
 * front, once for each resource that an invalid Output reaches. It prints the stack of an error
 * that comes while the program is still loaded, and a user can do nothing with ours.
 */
export function withOwnWords<E extends Error>(error: E): E {
  const text = error.message;
  Object.defineProperties(error, { message: { get: () => text, set: () => undefined }, stack: { value: text } });
  return withShortInspection(error);
}

/**
 * All problems of one resource. The error carries the marks by which the SDK knows its own errors
 * instead of extending one of them: one class of the SDK prints well only in a Node program, and
 * the other one only through other languages.
 */
export class ArgsError extends Error {
  readonly __pulumResourceError = true;
  readonly hideStack = true;
  readonly __pulumiInputPropertiesError = true;
  /**
   * Always empty: the engine prints the value at each path in this list, secret or not, and a
   * password may stand where nobody expects one, such as under a misspelled name.
   */
  readonly errors: never[] = [];

  constructor(
    readonly resource: pulumi.Resource,
    what: string,
    readonly problems: readonly Problem[],
  ) {
    const count = problems.length === 1 ? "1 problem" : `${problems.length} problems`;
    const text = [
      `${count} in the arguments of ${what}:`,
      ...problems.map((one) => `  ${one.path}: ${reason(one)}`),
    ].join("\n");
    super(text);
    withOwnWords(this);
  }
}

function reason({ expected, found, fix }: Problem): string {
  return `expected ${expected}, found ${found}; ${fix}`;
}
