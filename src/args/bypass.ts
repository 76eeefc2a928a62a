// SPDX-License-Identifier: Apache-2.0
import type * as pulumi from "@pulumi/pulumi";
import { type Bpf, bpfSchema } from "./bpf";
import { type Limits, limitSchema } from "./limits";
import { type SelfTest, selfTestSchema } from "./self-test";
import { type Traffic, trafficSchema } from "./traffic";
import { flag, judgedLeaf, oneOfThree, plainFlag } from "./validation/schema";

/** Whether programs that splice are protected. */
export const SpliceGuard = {
  /** Protects them where the kernel has a method. */
  Auto: "auto",
  /** Protects them, and refuses a host whose kernel has no method. */
  Require: "require",
  /** Does not protect them, and attaches nothing for that. */
  Off: "off",
} as const;

export type SpliceGuard = (typeof SpliceGuard)[keyof typeof SpliceGuard];

/** What is the same on every host. */
export interface BypassArgs {
  /**
   * Which connections may skip the TCP/IP stack. An explicit choice: ports, cidrs, or everything.
   * Required, except on hosts that `observe` only looks at. Default none.
   */
  traffic?: Traffic;
  /**
   * Whether new data takes the bypass. False keeps everything installed but drained: connections
   * stay open and continue over TCP. Default true.
   */
  enabled?: pulumi.Input<boolean>;
  /**
   * Directory of cgroup v2, relative to its mount, whose processes take part. Not one of a single
   * .service or .scope, which vanishes when that restarts. Default "/", the whole host.
   */
  cgroup?: pulumi.Input<string>;
  /**
   * Where the BPF objects come from. Default: the package brings them.
   */
  bpf?: Bpf;
  /**
   * The test, on each host, that its kernel behaves as the bypass needs. On by default.
   */
  selfTest?: SelfTest;
  /**
   * Bounds on what the bypass may hold: sockets, pairs and unread bytes. Each has a default.
   */
  limits?: Limits;
  /**
   * Take the host over from another owner, such as another stack, instead of refusing. Default
   * false.
   */
  takeOver?: pulumi.Input<boolean>;
  /**
   * Also enrol connections that are open already, each time the programs are attached. Needs Linux
   * 6.12.104, 6.18.45, 7.1.9 or a newer line on the host. On another kernel these connections stay
   * on TCP, and a note says so. Default false.
   */
  adopt?: pulumi.Input<boolean>;
  /**
   * Protection of programs that splice, such as TCP proxies written in Go and HAProxy. "auto"
   * protects them where the kernel of the host has a method; elsewhere it refuses
   * traffic.everything, and warns of such programs on the listed ports. "require" refuses a host
   * without a method, and "off" protects nothing. Default "auto".
   */
  spliceGuard?: pulumi.Input<SpliceGuard>;
  /**
   * Look at each host in every preview and up. If the result of a step is not as declared any more,
   * such as after a reboot, the preview shows an update of just that step, and a warning gives the
   * reason. Without it a preview looks at no host. Default false.
   */
  detectDrift?: boolean;
}

/** @internal */
export const bypassDefaults = {
  enabled: true,
  cgroup: "/",
  takeOver: false,
  adopt: false,
  spliceGuard: SpliceGuard.Auto as SpliceGuard,
  detectDrift: false,
};

/** @internal */
export const bypassProperties = {
  traffic: trafficSchema.optional(),
  enabled: flag(),
  cgroup: judgedLeaf(cgroupProblem),
  bpf: bpfSchema.optional(),
  selfTest: selfTestSchema.optional(),
  limits: limitSchema.optional(),
  takeOver: flag(),
  adopt: flag(),
  spliceGuard: oneOfThree(SpliceGuard),
  detectDrift: plainFlag(),
};

function cgroupProblem(value: unknown): readonly [expected: string, fix: string] | undefined {
  const [mount] = (typeof value === "string" && /^\/sys\/fs\/cgroup(\/unified)?(?=\/|$)/.exec(value)) || [];
  if (mount !== undefined)
    return [
      'a directory of cgroup v2 relative to its mount, such as "/" or "/system.slice"',
      `leave out ${mount}, where cgroup v2 is mounted; what is left begins with "/"`,
    ];
  if (typeof value === "string" && isCgroup(value)) return undefined;
  return [
    'a directory of cgroup v2 such as "/" or "/system.slice", and not of a .service or .scope',
    'begin with "/"; no "..", no double or closing "/", no blank; use the slice above a service',
  ];
}

function isCgroup(value: string): boolean {
  if (value === "/") return true;
  const [start, ...parts] = value.split("/");
  const isPart = (part: string) => /^[\x21-\x7e]{1,255}$/.test(part) && !/^\.{1,2}$|\.(service|scope)$/.test(part);
  return start === "" && parts.length > 0 && parts.every(isPart);
}
