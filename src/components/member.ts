// SPDX-License-Identifier: Apache-2.0
import type * as pulumi from "@pulumi/pulumi";
import type { Right } from "../args/validation/right";
import type { NormalizedBypass } from "../install/normalize";

/** What a SocketBypass says to the BypassHost or BypassNodePool that it makes. */
export interface Member {
  /** Name of the SocketBypass. */
  readonly component: string;
  readonly key: string;
  /** Checked once for all of them, so that a mistake is told once. */
  readonly shared: NormalizedBypass;
  /** What has to end well before its first step begins. */
  readonly after: readonly Installed[];
}

/** What a BypassHost made, without waiting for its arguments to be right: what fails with them must be near the end. */
export interface Installed {
  readonly generation: pulumi.Output<string>;
  readonly selfTest: pulumi.Output<string>;
  /** What ends last; all its other steps have ended before. Where its arguments are wrong, it never begins, and nobody should wait for it. */
  readonly attachment: pulumi.Resource;
  readonly right: Right;
}

/** The same of a BypassNodePool. */
export interface DeployedPool {
  readonly generation: pulumi.Output<string>;
  readonly namespace: pulumi.Output<string>;
  readonly daemonSet: pulumi.Output<string>;
  readonly right: Right;
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

const installed = new WeakMap<pulumi.Resource, Installed>();

export function setInstalled(host: pulumi.Resource, its: Installed): void {
  installed.set(host, its);
}

export function installedOn(host: pulumi.Resource): Installed {
  return found(installed.get(host));
}

const deployed = new WeakMap<pulumi.Resource, DeployedPool>();

export function setDeployed(pool: pulumi.Resource, its: DeployedPool): void {
  deployed.set(pool, its);
}

export function deployedFor(pool: pulumi.Resource): DeployedPool {
  return found(deployed.get(pool));
}

function found<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("expected a component whose constructor has ended, found another");
  return value;
}
