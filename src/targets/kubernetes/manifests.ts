// SPDX-License-Identifier: Apache-2.0
import * as pulumi from "@pulumi/pulumi";
import type { MetricsReaderArgs, TolerationArgs } from "../../args/kubernetes";

type Texts = Record<string, pulumi.Input<string>>;

/** What the manifests of one pool say, with the defaults in it. */
export interface Pool {
  readonly instance: string;
  readonly owner: string;
  readonly generation: pulumi.Input<string>;
  /** Of `apply`. */
  readonly flags: pulumi.Input<string[]>;
  readonly startSeconds: pulumi.Input<number>;
  readonly drainSeconds: pulumi.Input<number>;
  readonly stopSeconds: pulumi.Input<number>;
  readonly image: pulumi.Input<string>;
  readonly imagePullPolicy: pulumi.Input<string | undefined>;
  readonly imagePullSecrets: pulumi.Input<{ name: string }[] | undefined>;
  readonly nodeSelector: pulumi.Input<Texts | undefined>;
  readonly tolerations: pulumi.Input<TolerationArgs[]>;
  readonly maxSurge: pulumi.Input<string | number>;
  readonly priorityClassName: pulumi.Input<string | undefined>;
  readonly requests: pulumi.Input<Texts>;
  readonly limits: pulumi.Input<Texts | undefined>;
  readonly labels: pulumi.Input<Texts>;
  readonly annotations: pulumi.Input<Texts>;
  readonly bpffs: pulumi.Input<string>;
  readonly cgroupRoot: pulumi.Input<string>;
  readonly mountBpffs: boolean;
}

const files = "/opt/socket-bypass";
const script = `${files}/pod.sh`;
const port = 8080;
/** Of bpffs; the kubelet makes it where it is missing. */
const ownFolder = "socket-bypass";
/** Ten times what the files take. */
const stateLimit = "32Mi";

/** Pods mount folders of their node, which every other level of Pod Security forbids. */
export const namespaceLabels = { "pod-security.kubernetes.io/enforce": "privileged" };

/** What tells the pods of one pool from all others. */
export function ownLabels(instance: string): Record<string, string> {
  return { "app.kubernetes.io/name": "socket-bypass", "app.kubernetes.io/instance": instance };
}

/** The pods talk to nobody, and only these readers talk to them. */
export function networkPolicySpec(pool: Pool, readers: pulumi.Output<MetricsReaderArgs[]>): object {
  return {
    podSelector: { matchLabels: ownLabels(pool.instance) },
    policyTypes: ["Ingress", "Egress"],
    // A rule with an empty list of peers would let everybody in.
    ingress: readers.apply((given) =>
      given.length === 0 ? [] : [{ from: given.map(peerOf), ports: [{ port, protocol: "TCP" }] }],
    ),
    egress: [],
  };
}

function peerOf({ cidr, namespaceLabels: namespaces, podLabels: pods }: MetricsReaderArgs): object {
  if (cidr !== undefined) return { ipBlock: { cidr } };
  return {
    ...(namespaces === undefined ? {} : { namespaceSelector: { matchLabels: namespaces } }),
    ...(pods === undefined ? {} : { podSelector: { matchLabels: pods } }),
  };
}

export function daemonSetSpec(pool: Pool, account: pulumi.Input<string>, configMap: pulumi.Input<string>): object {
  return {
    selector: { matchLabels: ownLabels(pool.instance) },
    // The old pod of a node goes only when the new one is ready beside it.
    updateStrategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: pool.maxSurge, maxUnavailable: 0 } },
    template: {
      metadata: { labels: pool.labels, annotations: pool.annotations },
      spec: podSpec(pool, account, configMap),
    },
  };
}

function podSpec(pool: Pool, account: pulumi.Input<string>, configMap: pulumi.Input<string>): object {
  return {
    serviceAccountName: account,
    // It asks the API server for nothing.
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    imagePullSecrets: pool.imagePullSecrets,
    nodeSelector: pool.nodeSelector,
    tolerations: pool.tolerations,
    priorityClassName: pool.priorityClassName,
    // More than preStop takes: it waits for another pod's run on this node, drains and detaches.
    terminationGracePeriodSeconds: pool.stopSeconds,
    securityContext: { seccompProfile: { type: "RuntimeDefault" } },
    ...(pool.mountBpffs ? { initContainers: [mountContainer(pool)] } : {}),
    containers: [loaderContainer(pool)],
    volumes: [
      { name: "files", configMap: { name: configMap, defaultMode: 0o555 } },
      // In memory, for programs run from it, and the kubelet's folder may be on a disk that is
      // mounted noexec.
      { name: "state", emptyDir: { medium: "Memory", sizeLimit: stateLimit } },
      { name: "bpffs", hostPath: { path: pool.bpffs, type: "Directory" } },
      { name: "cgroup", hostPath: { path: pool.cgroupRoot, type: "Directory" } },
    ],
  };
}

/** The only container with more rights, and only where it is asked for: mounting takes them. */
function mountContainer(pool: Pool): object {
  return {
    name: "mount-bpffs",
    image: pool.image,
    imagePullPolicy: pool.imagePullPolicy,
    command: ["sh", script, "mount"],
    securityContext: { privileged: true, readOnlyRootFilesystem: true, runAsUser: 0 },
    resources: { requests: pool.requests, limits: pool.limits },
    terminationMessagePolicy: "FallbackToLogsOnError",
    volumeMounts: [
      { name: "files", mountPath: files, readOnly: true },
      // The mount that is made here has to reach the node.
      { name: "bpffs", mountPath: "/bpffs", mountPropagation: "Bidirectional" },
    ],
  };
}

function loaderContainer(pool: Pool): object {
  return {
    name: "loader",
    image: pool.image,
    imagePullPolicy: pool.imagePullPolicy,
    command: ["sh", script, "start"],
    args: pool.flags,
    env: [
      { name: "INSTANCE", value: pool.instance },
      { name: "GENERATION", value: pool.generation },
      { name: "OWNER", value: pool.owner },
      { name: "DRAIN_SECONDS", value: asText(pool.drainSeconds) },
      // Who serves a node is written down there: a pod leaves alone what its successor took over.
      { name: "POD_UID", valueFrom: { fieldRef: { fieldPath: "metadata.uid" } } },
    ],
    ports: [{ name: "metrics", containerPort: port }],
    securityContext: {
      privileged: false,
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      // Pins and cgroups belong to root.
      runAsUser: 0,
      runAsGroup: 0,
      capabilities: {
        drop: ["ALL"],
        add: [
          // Makes maps and loads programs.
          "BPF",
          // Attaches programs that work on sockets: sock_ops to a cgroup, sk_msg to a sockhash.
          "NET_ADMIN",
          // Programs that read kernel memory (bpf_probe_read_kernel), and on Linux 6.1 all that
          // follow pointers of the kernel.
          "PERFMON",
        ],
      },
    },
    resources: { requests: pool.requests, limits: pool.limits },
    // Until the self-test has passed and the programs are attached, or the kernel is known to be
    // none of ours.
    startupProbe: { ...health, periodSeconds: 1, failureThreshold: pool.startSeconds },
    readinessProbe: { ...health, periodSeconds: 10, failureThreshold: 2 },
    // What somebody detached or unpinned is made anew by a restart.
    livenessProbe: { ...health, periodSeconds: 10, failureThreshold: 3 },
    lifecycle: { preStop: { exec: { command: ["sh", script, "stop"] } } },
    volumeMounts: [
      { name: "files", mountPath: files, readOnly: true },
      { name: "state", mountPath: "/state" },
      // Not at its usual place: AppArmor's default profile lets nobody write there. And without
      // what others have pinned.
      { name: "bpffs", mountPath: `/bpffs/${ownFolder}`, subPath: ownFolder },
      // Over the container's own view, which ends at its own cgroup. Programs are attached by a
      // descriptor that may only read.
      { name: "cgroup", mountPath: "/sys/fs/cgroup", readOnly: true },
    ],
  };
}

/** Not by the port of the metrics: who floods that must not have the pod restarted. */
const health = { exec: { command: ["sh", script, "health"] }, timeoutSeconds: 10 };

function asText(number: pulumi.Input<number>): pulumi.Output<string> {
  return pulumi.output(number).apply(String);
}
