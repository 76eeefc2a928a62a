// SPDX-License-Identifier: Apache-2.0
import type * as pulumi from "@pulumi/pulumi";
import { type BypassArgs, bypassDefaults, bypassProperties } from "../args/bypass";
import { checkLater, type Where } from "../args/check";
import { type HostArgs, hostDefaults, hostProperties } from "../args/host";
import { mapDefaults } from "../args/limits";
import { selfTestDefaults } from "../args/self-test";
import type { Policy } from "../host/lines";

/** What is the same on every host, checked, with defaults. Each by itself: what is not known yet makes only its own lines unknown. */
export function settleBypass(args: BypassArgs, where: Where) {
  const at = (name: string) => below(where, name);
  const traffic = checkLater(bypassProperties.traffic, args.traffic, at("traffic"));
  const enabled = checkLater(bypassProperties.enabled, args.enabled, at("enabled"));
  const limits = checkLater(bypassProperties.limits, args.limits, at("limits"));
  return {
    detectDrift: args.detectDrift ?? bypassDefaults.detectDrift,
    cgroup: checkLater(bypassProperties.cgroup, args.cgroup, at("cgroup")).apply(
      (cgroup) => cgroup ?? bypassDefaults.cgroup,
    ),
    takeOver: checkLater(bypassProperties.takeOver, args.takeOver, at("takeOver")).apply(
      (isWanted) => isWanted ?? bypassDefaults.takeOver,
    ),
    adopt: checkLater(bypassProperties.adopt, args.adopt, at("adopt")).apply(
      (isWanted) => isWanted ?? bypassDefaults.adopt,
    ),
    spliceGuard: checkLater(bypassProperties.spliceGuard, args.spliceGuard, at("spliceGuard")).apply(
      (isWanted) => isWanted ?? bypassDefaults.spliceGuard,
    ),
    compile: checkLater(bypassProperties.object, args.object, at("object")).apply(
      (object) => object?.compile ?? ("prebuilt" as const),
    ),
    selfTest: checkLater(bypassProperties.selfTest, args.selfTest, at("selfTest")).apply((selfTest) => ({
      enabled: selfTest?.enabled ?? selfTestDefaults.enabled,
      timeoutSeconds: selfTest?.timeoutSeconds ?? selfTestDefaults.timeoutSeconds,
    })),
    size: limits.apply((given) => ({
      sockets: given?.sockets ?? mapDefaults.sockets,
      pendingPairs: given?.pendingPairs ?? mapDefaults.pendingPairs,
    })),
    policy: traffic.apply((chosen) =>
      enabled.apply((isEnabled) =>
        limits.apply(
          (given): Policy => ({
            everything: chosen.everything ?? false,
            ports: chosen.ports ?? [],
            cidrs: chosen.cidrs ?? [],
            enabled: isEnabled ?? bypassDefaults.enabled,
            queueBytes: given?.queueBytes,
          }),
        ),
      ),
    ) as pulumi.Output<Policy>,
  };
}

/** What is said about one host, checked, with defaults. */
export function settleHost(args: HostArgs, where: Where) {
  const settled = (name: "id" | "become" | "stateDir") =>
    checkLater(hostProperties[name], args[name], below(where, name)).apply((value) => value ?? hostDefaults[name]);
  return { id: settled("id"), become: settled("become"), stateDir: settled("stateDir") };
}

export type SettledBypass = ReturnType<typeof settleBypass>;
export type Settled = SettledBypass & ReturnType<typeof settleHost>;

function below(where: Where, name: string): Where {
  return { ...where, path: [...where.path, name] };
}
