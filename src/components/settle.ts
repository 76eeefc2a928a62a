// SPDX-License-Identifier: Apache-2.0
import type * as pulumi from "@pulumi/pulumi";
import { bypassDefaults, bypassProperties } from "../args/bypass";
import type { BypassHostArgs } from "../args/bypass-host";
import { checkLater, type Where } from "../args/check";
import { hostDefaults, hostProperties } from "../args/host";
import { mapDefaults } from "../args/limits";
import { selfTestDefaults } from "../args/self-test";
import type { Policy } from "../host/lines";

/** Every argument, checked, with its default. Each by itself: what is not known yet makes only its own lines unknown. */
export function settle(args: BypassHostArgs, where: Where) {
  const at = (name: string): Where => ({ ...where, path: [...where.path, name] });
  const traffic = checkLater(bypassProperties.traffic, args.traffic, at("traffic"));
  const enabled = checkLater(bypassProperties.enabled, args.enabled, at("enabled"));
  const limits = checkLater(bypassProperties.limits, args.limits, at("limits"));
  return {
    id: checkLater(hostProperties.id, args.id, at("id")).apply((id) => id ?? hostDefaults.id),
    become: checkLater(hostProperties.become, args.become, at("become")).apply((text) => text ?? hostDefaults.become),
    stateDir: checkLater(hostProperties.stateDir, args.stateDir, at("stateDir")).apply(
      (folder) => folder ?? hostDefaults.stateDir,
    ),
    cgroup: checkLater(bypassProperties.cgroup, args.cgroup, at("cgroup")).apply(
      (cgroup) => cgroup ?? bypassDefaults.cgroup,
    ),
    takeOver: checkLater(bypassProperties.takeOver, args.takeOver, at("takeOver")).apply(
      (isWanted) => isWanted ?? bypassDefaults.takeOver,
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

export type Settled = ReturnType<typeof settle>;
