// SPDX-License-Identifier: Apache-2.0
import * as pulumi from "@pulumi/pulumi";
import type { MetricsReader, Toleration } from "../../args/kubernetes";

type Texts = Record<string, pulumi.Input<string>>;

/** The settings in the manifests of one pool, with defaults filled in. */
export interface Pool {
  readonly instance: string;
  readonly owner: string;
  readonly generation: pulumi.Input<string>;
  /** The flags of `apply`. */
  readonly flags: pulumi.Input<string[]>;
  readonly startSeconds: pulumi.Input<number>;
  readonly drainSeconds: pulumi.Input<number>;
  readonly stopSeconds: pulumi.Input<number>;
  readonly image: pulumi.Input<string>;
  readonly imagePullPolicy: pulumi.Input<string | undefined>;
  readonly imagePullSecrets: pulumi.Input<{ name: string }[] | undefined>;
  readonly nodeSelector: pulumi.Input<Texts | undefined>;
  readonly tolerations: pulumi.Input<Toleration[]>;
  readonly maxSurge: pulumi.Input<string | number>;
  readonly priorityClassName: pulumi.Input<string | undefined>;
  readonly requests: pulumi.Input<Texts>;
  readonly limits: pulumi.Input<Texts | undefined>;
  readonly labels: pulumi.Input<Texts>;
  readonly annotations: pulumi.Input<Texts>;
  readonly podAnnotations: pulumi.Input<Texts>;
  readonly bpffs: pulumi.Input<string>;
  readonly cgroupRoot: pulumi.Input<string>;
  readonly mountBpffs: boolean;
}

const files = "/opt/socket-bypass";
const script = `${files}/pod.sh`;
const port = 8080;
const metricsPort = "metrics";
/** The pods' folder in bpffs; the kubelet creates it if it is missing. */
const ownFolder = "socket-bypass";
/** The files take a tenth of this. */
const stateLimit = "32Mi";

/** The pods mount folders of their node, which every other level of Pod Security forbids. */
export const namespaceLabels = { "pod-security.kubernetes.io/enforce": "privileged" };

/** The labels that tell the pods of one pool from all others. */
export function ownLabels(instance: string): Record<string, string> {
  return { "app.kubernetes.io/name": "socket-bypass", "app.kubernetes.io/instance": instance };
}

/** The pods open no connections, and only these readers may connect to them. */
export function networkPolicySpec(pool: Pool, readers: pulumi.Output<MetricsReader[]>): object {
  return {
    podSelector: { matchLabels: ownLabels(pool.instance) },
    policyTypes: ["Ingress", "Egress"],
    // A rule with an empty list of peers would admit everybody.
    ingress: readers.apply((given) =>
      given.length === 0 ? [] : [{ from: given.map(peerOf), ports: [{ port, protocol: "TCP" }] }],
    ),
    egress: [],
  };
}

function peerOf({ cidr, namespaceLabels: namespaces, podLabels: pods }: MetricsReader): object {
  if (cidr !== undefined) return { ipBlock: { cidr } };
  return {
    ...(namespaces === undefined ? {} : { namespaceSelector: { matchLabels: namespaces } }),
    ...(pods === undefined ? {} : { podSelector: { matchLabels: pods } }),
  };
}

/** What many scrapers look for; there is no standard for it. */
export const scrapeAnnotations: Texts = {
  "prometheus.io/scrape": "true",
  "prometheus.io/port": `${port}`,
  "prometheus.io/path": "/metrics",
};

/** What a PodMonitor of prometheus-operator says of these pods. */
export interface Monitor {
  readonly labels: Texts;
  readonly intervalSeconds: number;
}

/** `instance` is the node, so that a node has one history, whichever pod serves it. */
export function podMonitorSpec(instance: string, monitor: pulumi.Output<Monitor>): object {
  return {
    selector: { matchLabels: ownLabels(instance) },
    podMetricsEndpoints: [
      {
        port: metricsPort,
        path: "/metrics",
        interval: monitor.apply(({ intervalSeconds }) => `${intervalSeconds}s`),
        relabelings: ["node", "instance"].map((targetLabel) => ({
          sourceLabels: ["__meta_kubernetes_pod_node_name"],
          targetLabel,
        })),
      },
    ],
  };
}

export function daemonSetSpec(pool: Pool, account: pulumi.Input<string>, configMap: pulumi.Input<string>): object {
  return {
    selector: { matchLabels: ownLabels(pool.instance) },
    // The old pod of a node is removed only when the new one is ready beside it.
    updateStrategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: pool.maxSurge, maxUnavailable: 0 } },
    template: {
      metadata: { labels: pool.labels, annotations: pool.podAnnotations },
      spec: podSpec(pool, account, configMap),
    },
  };
}

function podSpec(pool: Pool, account: pulumi.Input<string>, configMap: pulumi.Input<string>): object {
  return {
    serviceAccountName: account,
    // The pod never calls the API server.
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    imagePullSecrets: pool.imagePullSecrets,
    nodeSelector: pool.nodeSelector,
    tolerations: pool.tolerations,
    priorityClassName: pool.priorityClassName,
    // The grace period must be longer than preStop takes, which waits for another pod's run on this
    // node, drains and detaches.
    terminationGracePeriodSeconds: pool.stopSeconds,
    securityContext: { seccompProfile: { type: "RuntimeDefault" } },
    ...(pool.mountBpffs ? { initContainers: [mountContainer(pool)] } : {}),
    containers: [loaderContainer(pool)],
    volumes: [
      { name: "files", configMap: { name: configMap, defaultMode: 0o555 } },
      // The state is in memory because the pod runs programs from it, and the kubelet's folder may
      // be on a disk that is mounted noexec.
      { name: "state", emptyDir: { medium: "Memory", sizeLimit: stateLimit } },
      { name: "bpffs", hostPath: { path: pool.bpffs, type: "Directory" } },
      { name: "cgroup", hostPath: { path: pool.cgroupRoot, type: "Directory" } },
    ],
  };
}

/**
 * The only privileged container, which exists only where the user asks for it, because mounting
 * needs the rights.
 */
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
      // The mount that this container makes must reach the node.
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
      // The pod that serves a node writes this down there, so that an older pod leaves alone what
      // its successor took over.
      { name: "POD_UID", valueFrom: { fieldRef: { fieldPath: "metadata.uid" } } },
    ],
    ports: [{ name: metricsPort, containerPort: port }],
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
          // Lets it make maps and load programs.
          "BPF",
          // Lets it attach programs that work on sockets: sock_ops to a cgroup, sk_msg to a
          // sockhash.
          "NET_ADMIN",
          // Lets it load programs that read kernel memory (bpf_probe_read_kernel), and on Linux 6.1
          // all programs that follow pointers of the kernel.
          "PERFMON",
        ],
      },
    },
    resources: { requests: pool.requests, limits: pool.limits },
    // Runs until the self-test has passed and the programs are attached, or until the kernel is
    // known to be unsupported.
    startupProbe: { ...health, periodSeconds: 1, failureThreshold: pool.startSeconds },
    readinessProbe: { ...health, periodSeconds: 10, failureThreshold: 2 },
    // A restart makes anew what somebody detached or unpinned.
    livenessProbe: { ...health, periodSeconds: 10, failureThreshold: 3 },
    lifecycle: { preStop: { exec: { command: ["sh", script, "stop"] } } },
    volumeMounts: [
      { name: "files", mountPath: files, readOnly: true },
      { name: "state", mountPath: "/state" },
      // The pod's folder is not mounted at bpffs's usual path, because AppArmor's default profile
      // forbids writing there; the subPath hides what others have pinned.
      { name: "bpffs", mountPath: `/bpffs/${ownFolder}`, subPath: ownFolder },
      // This mount covers the container's own view of the cgroups, which ends at its own cgroup. It
      // may be read-only because programs are attached through a descriptor that may only read.
      { name: "cgroup", mountPath: "/sys/fs/cgroup", readOnly: true },
    ],
  };
}

/** The probe does not use the metrics port: a flood of that port must not restart the pod. */
const health = { exec: { command: ["sh", script, "health"] }, timeoutSeconds: 10 };

function asText(number: pulumi.Input<number>): pulumi.Output<string> {
  return pulumi.output(number).apply(String);
}
