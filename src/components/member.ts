// SPDX-License-Identifier: Apache-2.0
import type * as pulumi from "@pulumi/pulumi";
import type { SettledBypass } from "./settle";

/** What a SocketBypass says to the BypassHost or BypassNodePool that it makes. */
export interface Member {
  /** Name of the SocketBypass. */
  readonly component: string;
  readonly key: string;
  /** Checked once for all of them, so that a mistake is told once. */
  readonly shared: SettledBypass;
  /** What has to end well before its first step begins. */
  readonly after: readonly pulumi.Resource[];
}

// Aside, because every property of the arguments would be part of the schema for other languages.
const members = new WeakMap<object, Member>();

export function asMember<T extends object>(args: T, member: Member): T {
  members.set(args, member);
  return args;
}

/** Undefined for one that stands alone. */
export function memberOf(args: object): Member | undefined {
  return members.get(args);
}

const lastSteps = new WeakMap<pulumi.Resource, pulumi.Resource>();

/** Keeps what ends last on a host; all its other steps have ended before. */
export function setLastStep(host: pulumi.Resource, step: pulumi.Resource): void {
  lastSteps.set(host, step);
}

export function lastStepOf(host: pulumi.Resource): pulumi.Resource {
  return lastSteps.get(host) ?? host;
}
