// SPDX-License-Identifier: Apache-2.0
import { createHash } from "node:crypto";
import * as pulumi from "@pulumi/pulumi";
import { type BypassArgs, bypassDefaults, bypassProperties } from "../args/bypass";
import { type Connection, connectionSchema, type Login, loginDefaults } from "../args/connection";
import { type Host, hostDefaults, hostProperties } from "../args/host";
import { mapDefaults } from "../args/limits";
import { type NodePool, poolDefaults, poolProperties } from "../args/node-pool";
import { type ObservedArgs, observeDefaults, observeSchema } from "../args/observe";
import { selfTestDefaults } from "../args/self-test";
import type { Where } from "../args/validation/check";
import { checker } from "../args/validation/right";
import type { Policy } from "../commands/verbs";
import { asStateHolds } from "../targets/private-key";
import { readLast } from "./previous-state";

/**
 * Checks the arguments that are the same on every host and fills in defaults. Each becomes an
 * output of its own, so that an unknown value makes only the lines that use it unknown.
 */
export function normalizeBypass(args: BypassArgs & ObservedArgs, where: Where) {
  const { check, right } = checker(where);
  const checked = <K extends keyof BypassArgs & keyof typeof bypassProperties>(name: K) =>
    check(bypassProperties[name], args[name], name);
  const traffic = checked("traffic");
  const enabled = checked("enabled");
  const limits = checked("limits");
  const observe = args.observe === undefined ? undefined : check(observeSchema, args.observe, "observe");
  const all = {
    // Both decide which steps a host has, so they are known now.
    hasTraffic: args.traffic !== undefined,
    observe: observe && {
      seconds: observe.apply(({ seconds }) => seconds ?? observeDefaults.seconds),
      rerun: observe.apply(({ rerun }) => rerun ?? ""),
    },
    detectDrift: args.detectDrift ?? bypassDefaults.detectDrift,
    cgroup: checked("cgroup").apply((cgroup) => cgroup ?? bypassDefaults.cgroup),
    takeOver: checked("takeOver").apply((isWanted) => isWanted ?? bypassDefaults.takeOver),
    adopt: checked("adopt").apply((isWanted) => isWanted ?? bypassDefaults.adopt),
    spliceGuard: checked("spliceGuard").apply((isWanted) => isWanted ?? bypassDefaults.spliceGuard),
    compile: checked("bpf").apply((bpf) => bpf?.compile ?? ("prebuilt" as const)),
    selfTest: checked("selfTest").apply((selfTest) => ({
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
            everything: chosen?.everything ?? false,
            ports: (chosen?.ports ?? []).map(String),
            cidrs: chosen?.cidrs ?? [],
            enabled: isEnabled ?? bypassDefaults.enabled,
            queueBytes: given?.queueBytes,
            refreshSeconds: given?.refreshSeconds,
          }),
        ),
      ),
    ) as pulumi.Output<Policy>,
  };
  return { ...all, right: right() };
}

/**
 * Checks the arguments of one host and fills in defaults. Without a connection the host is this
 * machine.
 */
export function normalizeHost(args: Host, where: Where, instance: string) {
  const { check, right } = checker(where);
  const checked = <K extends keyof Host & keyof typeof hostProperties>(name: K) =>
    check(hostProperties[name], args[name], name);
  const { connection, allowUnknownHostKey } = args;
  const schema = connectionSchema(allowUnknownHostKey === true);
  const all = {
    become: checked("become").apply((value) => value ?? hostDefaults.become),
    stateDir: checked("stateDir").apply((value) => value ?? hostDefaults.stateDir),
    boot: checked("boot").apply((isWanted) => isWanted ?? hostDefaults.boot),
    machine: checked("machine"),
    machineId: normalizeMachineId(args, checked("machineId"), instance),
    ...(connection === undefined
      ? {}
      : { connection: check(schema, connection, "connection").apply(withLoginDefaults) }),
  };
  return { ...all, right: right() };
}

function withLoginDefaults(given: unknown) {
  const { proxy, ...login } = given as pulumi.UnwrappedObject<Connection>;
  return { ...asKept(login), ...(proxy && { proxy: asKept(proxy) }) };
}

/** Writes a login in few bytes, because the state holds it sixteen times for each host. */
function asKept(login: pulumi.UnwrappedObject<Login>) {
  const { privateKey, hostKey } = login;
  return {
    ...{ ...loginDefaults, ...login },
    ...(privateKey && { privateKey: asStateHolds(privateKey) }),
    // The rest of the line is a comment.
    ...(hostKey && { hostKey: hostKey.trim().split(/\s+/, 2).join(" ") }),
  };
}

/**
 * Names the machine of a host. Without a machineId it hashes only address and port, so a rotated key does
 * not replace the host. The first versions kept that hash in the state in plain text. Whoever reads
 * it finds the address in seconds by hashing those of a network, and a salt would not help, because
 * the state would hold that too. So the value is now a secret and another hash; a stack that has
 * the first one keeps it, because another value would remove everything and install it again.
 */
function normalizeMachineId(
  args: Host,
  machineId: pulumi.Output<string | undefined>,
  instance: string,
): pulumi.Output<string> {
  if (args.connection === undefined) return machineId.apply((given) => given ?? hostDefaults.machineId);
  const known = pulumi.all([machineId, addressOf(args.connection)]).apply(async ([given, address]) => {
    const first = digestOf(address);
    return { given, address, first, isKept: given === undefined && (await hasTrigger(instance, first)) };
  });
  return known.apply(({ given, address, first, isKept }): pulumi.Output<string> => {
    if (given !== undefined || isKept) return pulumi.output(given ?? first);
    return pulumi.secret(digestOf(JSON.stringify([pulumi.getProject(), pulumi.getStack(), instance, address])));
  });
}

async function hasTrigger(instance: string, first: string): Promise<boolean> {
  const last = Object.values((await readLast()) ?? {});
  return last.some((one) => {
    const triggers: unknown = one?.triggers;
    return Array.isArray(triggers) && triggers[0] === first && triggers[1] === instance;
  });
}

function digestOf(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 12);
}

function addressOf(connection: Host["connection"]): pulumi.Output<string> {
  const isObject = typeof connection === "object" && !pulumi.Output.isInstance(connection) && "host" in connection;
  const parts: pulumi.Output<{ host?: string | undefined; port?: number | undefined }> = isObject
    ? pulumi.output({ host: connection.host, port: connection.port })
    : pulumi.output(connection).apply((known) => ({ host: known?.host, port: known?.port }));
  return parts.apply(({ host, port }) => `${host}:${port ?? loginDefaults.port}`);
}

/** Checks the arguments of one node pool and fills in defaults. */
export function normalizeNodePool(args: NodePool, where: Where) {
  const { check, right } = checker(where);
  const checked = <K extends keyof NodePool & keyof typeof poolProperties>(name: K) =>
    check(poolProperties[name], args[name], name);
  const resources = checked("resources");
  const monitoring = checked("monitoring");
  const all = {
    image: checked("image"),
    imagePullPolicy: checked("imagePullPolicy"),
    imagePullSecrets: checked("imagePullSecrets").apply((names) => names?.map((name) => ({ name }))),
    nodeSelector: checked("nodeSelector"),
    tolerations: checked("tolerations").apply((given) => given ?? poolDefaults.tolerations),
    // Kubernetes refuses a string without a percent sign, so a plain number is sent as a number.
    maxSurge: checked("maxSurge").apply((given = poolDefaults.maxSurge) =>
      given.endsWith("%") ? given : Number(given),
    ),
    priorityClassName: checked("priorityClassName"),
    requests: resources.apply((given) => given?.requests ?? poolDefaults.requests),
    limits: resources.apply((given) => given?.limits),
    labels: checked("labels"),
    annotations: checked("annotations"),
    bpffs: checked("bpffs").apply((given) => given ?? poolDefaults.bpffs),
    cgroupRoot: checked("cgroupRoot").apply((given) => given ?? poolDefaults.cgroupRoot),
    drainSeconds: checked("drainSeconds").apply((given) => given ?? poolDefaults.drainSeconds),
    mountBpffs: args.mountBpffs ?? false,
    isAnnotated: monitoring.apply((given) => given?.annotations ?? false),
    ...(args.monitoring?.podMonitor === undefined
      ? {}
      : {
          podMonitor: monitoring.apply((given) => ({
            labels: given?.podMonitor?.labels ?? {},
            intervalSeconds: given?.podMonitor?.intervalSeconds ?? poolDefaults.scrapeSeconds,
          })),
        }),
    ...(args.metricsFrom === undefined ? {} : { metricsFrom: checked("metricsFrom").apply((given) => given ?? []) }),
    ...(args.namespace === undefined ? {} : { namespace: checked("namespace") as pulumi.Output<string> }),
  };
  return { ...all, right: right() };
}

export type NormalizedBypass = ReturnType<typeof normalizeBypass>;
export type Normalized = NormalizedBypass & ReturnType<typeof normalizeHost>;
