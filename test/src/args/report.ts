// SPDX-License-Identifier: Apache-2.0
import type * as pulumi from "@pulumi/pulumi";
import { bypassHostSchema } from "../../../src/args/bypass-host";
import { socketBypassSchema } from "../../../src/args/socket-bypass";
import { checkNow } from "../../../src/args/validation/check";
import { ArgsError } from "../../../src/args/validation/problem";

// The check only passes the resource on.
const resource = {} as pulumi.Resource;

function errorOf(check: () => void): ArgsError | undefined {
  try {
    check();
  } catch (error) {
    if (error instanceof ArgsError) return error;
    throw error;
  }
  return undefined;
}

/**
 * The lines of the error about these arguments of a SocketBypass; none if the arguments are valid.
 */
export function problemsOfMany(args: unknown): string[] {
  const error = errorOf(() => checkNow(socketBypassSchema, args, { resource, what: 'SocketBypass "edge"', path: [] }));
  return error === undefined ? [] : error.message.split("\n").map((line) => line.trim());
}

/**
 * The problems of these arguments of a BypassHost, without a heading. It is the local host if they
 * do not say where it is.
 */
export function problemsOfOne(args: unknown): string[] {
  const isPlaced = typeof args !== "object" || args === null || "connection" in args || "local" in args;
  const placed = isPlaced || Array.isArray(args) ? args : { local: true, ...args };
  const error = errorOf(() => checkNow(bypassHostSchema, placed, { resource, what: 'BypassHost "one"', path: [] }));
  return error === undefined
    ? []
    : error.problems.map((one) => `${one.path}: ${one.expected}, ${one.found}; ${one.fix}`);
}

/** Tells whether this traffic is accepted. */
export function isTaken(traffic: unknown): boolean {
  return problemsOfOne({ traffic }).length === 0;
}
