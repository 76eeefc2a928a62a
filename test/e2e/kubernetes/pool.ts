// SPDX-License-Identifier: Apache-2.0
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type * as pulumi from "@pulumi/pulumi";
import type { Stack } from "@pulumi/pulumi/automation/index.js";
import { type NodePool, SocketBypass, type SocketBypassArgs } from "../../../src/index.js";
import { createStack } from "../../../tools/pulumi/stack.js";
import { type Ended, follow, type OnEvent } from "../local/follow.js";
import type { Cluster, Machine } from "./cluster/cluster.js";
import { image } from "./cluster/fixtures.js";
import { port } from "./traffic.js";

export interface Pod {
  readonly name: string;
  readonly uid: string;
  readonly node: string;
  readonly isReady: boolean;
  readonly restarts: number;
  /** Why its container ended or waits, as the kubelet shows it. */
  readonly message: string;
  /** Why it last ended, in a word such as OOMKilled. */
  readonly reason: string;
}

let made = 0;

/**
 * A SocketBypass with one node pool, in a stack of its own that the real engine and the real
 * provider run.
 */
export class Pool {
  readonly stackName = `t${process.pid}-${++made}`;
  readonly folder = fs.mkdtempSync(join(tmpdir(), "socket-bypass-pool-"));
  /** Tests change them between one run and the next. */
  args: Partial<SocketBypassArgs> = {};
  pool: Partial<NodePool> = {};
  /** Options of the component; the program calls this, because it can make providers. */
  options: () => pulumi.ComponentResourceOptions = () => ({});
  private stack: Stack | undefined;

  constructor(
    readonly cluster: Cluster,
    readonly kubeconfig = cluster.kubeconfig,
  ) {
    fs.mkdirSync(join(this.folder, "backend"));
  }

  private async open(): Promise<Stack> {
    const program = async () => {
      const { nodePools, generation, logins } = new SocketBypass(
        "edge",
        {
          // This covers the traffic of the tests, whose messages are counted, but not the kubelet's
          // probes of the pods on its node.
          traffic: { ports: ["80", `${port}`] },
          nodePools: { workers: { image, imagePullPolicy: "Never", ...this.pool } },
          ...this.args,
        },
        this.options(),
      );
      return { nodePools, generation, socketBypass: logins };
    };
    const name = { projectName: "pool-test", stackName: this.stackName };
    const stack = this.stack ?? (await createStack({ ...name, program }, this.folder, { KUBECONFIG: this.kubeconfig }));
    this.stack = stack;
    return stack;
  }

  preview = () => this.act((stack, onEvent) => stack.preview({ onEvent }));
  up = () => this.act((stack, onEvent) => stack.up({ onEvent }));
  destroy = () => this.act((stack, onEvent) => stack.destroy({ onEvent }));

  /** Returns the message of a run that must fail. */
  async failure(run: Promise<Ended>): Promise<string> {
    return await run.then(
      () => {
        throw new Error("expected the run to fail, and it succeeded");
      },
      (error: Error) => error.message,
    );
  }

  /** Runs the engine and returns the changes of the Kubernetes objects by kind. */
  private async act(run: (stack: Stack, onEvent: OnEvent) => Promise<unknown>): Promise<Ended> {
    const stack = await this.open();
    return await follow(
      (onEvent) => run(stack, onEvent),
      ({ type }) => (type.startsWith("kubernetes:") ? type.split(":").at(-1) : undefined),
    );
  }

  async outputs(): Promise<{ generation: string; namespace: string; daemonSet: string }> {
    const { nodePools } = await (await this.open()).outputs();
    return nodePools?.value.workers;
  }

  /** The environment in which `pulumi` finds the stack from `folder`/backend. */
  async environment(): Promise<Record<string, string>> {
    return { ...(await this.open()).workspace.envVars } as Record<string, string>;
  }

  /** The loader pods, sorted by the names of their nodes. */
  async pods(): Promise<Pod[]> {
    const words = ["get", "pods", "-A", "-l", "app.kubernetes.io/name=socket-bypass", "-o", "json"];
    const { items } = JSON.parse(await this.cluster.kubectl(...words));
    const pods: Pod[] = items.map(({ metadata, spec, status }: PodObject) => {
      const [container] = status.containerStatuses ?? [];
      const states = [container?.state, container?.lastState];
      return {
        name: metadata.name,
        uid: metadata.uid,
        node: spec.nodeName ?? "",
        isReady: container?.ready ?? false,
        restarts: container?.restartCount ?? 0,
        message: states.map((state) => state?.terminated?.message ?? "").join(""),
        reason: states.map((state) => state?.terminated?.reason ?? "").join(""),
      };
    });
    return pods.sort((a, b) => (a.node < b.node ? -1 : 1));
  }

  async end(): Promise<void> {
    if (this.stack !== undefined) await this.destroy();
    fs.rmSync(this.folder, { recursive: true, force: true });
  }
}

interface PodObject {
  readonly metadata: { readonly name: string; readonly uid: string };
  readonly spec: { readonly nodeName?: string };
  readonly status: {
    readonly containerStatuses?: readonly {
      readonly ready: boolean;
      readonly restartCount: number;
      readonly state?: ContainerState;
      readonly lastState?: ContainerState;
    }[];
  };
}

interface ContainerState {
  readonly terminated?: { readonly message?: string; readonly reason?: string };
}

/** Returns who serves a node, according to its bpffs. */
export async function servingOn(node: Machine): Promise<{ owner: string; generation: string } | undefined> {
  const look =
    "cd /sys/fs/bpf/socket-bypass 2>/dev/null || exit 0; for i in *; do readlink $i/owner; readlink $i/serving; done; true";
  const [owner, generation] = (await node.run("sh", "-c", look)).trim().split("\n");
  return owner && generation ? { owner, generation } : undefined;
}

/**
 * Lists everything that the loader has left on a node, except its empty folder, which is a mount of
 * the pod.
 */
export async function tracesOn(node: Machine): Promise<string[]> {
  const look = `
    find /sys/fs/bpf -mindepth 1 ! -name "*.debug" ! -path /sys/fs/bpf/socket-bypass
    v2=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
    bpftool -j cgroup tree "$v2" | tr '{' '\\n' | grep sock_ops
    find "$v2" -name 'socket-bypass-*'
    ls -d /var/lib/socket-bypass /usr/local/sbin/socket-bypass 2>/dev/null
    true`;
  return (await node.run("sh", "-c", look)).split("\n").filter(Boolean);
}

/** Counts the messages that all generations of a node, or one of them, have redirected. */
export async function redirectedOn(node: Machine, generation = "*"): Promise<number> {
  // This is the second counter, on each processor; see bpf/socket_bypass.h.
  const look = `for map in /sys/fs/bpf/socket-bypass/*/${generation}/maps/counters; do bpftool -j map lookup pinned $map key 1 0 0 0; done`;
  const lines = (await node.run("sh", "-c", look)).split("\n").filter(Boolean);
  if (lines.length === 0) throw new Error(`${node.name}: expected a generation in bpffs, found none`);
  const counts = lines.flatMap((line): { value: number }[] => JSON.parse(line).formatted.values);
  return counts.reduce((sum, { value }) => sum + value, 0);
}

/**
 * Lets the loader's container run out of memory, in hybrid mode, until the kernel has killed the
 * loader.
 */
export async function exhaustLoader(node: Machine): Promise<void> {
  const script = join(__dirname, "exhaust.py");
  const look = `pid=$(pgrep -of "^/state/files/probe-[^ ]* serve") &&
    exec python3 ${script} "/sys/fs/cgroup/memory$(sed -n 's/^[0-9]*:memory://p' /proc/$pid/cgroup)" $pid`;
  await node.run("sh", "-c", look);
}

/** Waits up to three minutes, because a kubelet takes its time to restart a container. */
export async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + 180_000;
  while (!(await isSo())) {
    if (Date.now() > end) throw new Error(`expected ${what} within three minutes, found it false`);
    await new Promise((wake) => setTimeout(wake, 300));
  }
}
