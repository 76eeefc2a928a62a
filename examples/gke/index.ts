// SPDX-License-Identifier: Apache-2.0
// Adds a node pool to a GKE cluster, and the bypass to its nodes. The cluster is that of the
// current kubeconfig.
import * as gcp from "@pulumi/gcp";
import * as pulumi from "@pulumi/pulumi";
import { BypassNodePool } from "socket-bypass";

const config = new pulumi.Config();
const labels = { "example.com/bypass": "yes" };

const nodes = new gcp.container.NodePool("bypass", {
  cluster: config.require("cluster"),
  location: config.require("location"),
  autoscaling: { minNodeCount: 1, maxNodeCount: config.getNumber("maxNodes") ?? 6 },
  nodeConfig: {
    machineType: config.get("machineType") ?? "e2-standard-2",
    imageType: "COS_CONTAINERD",
    // Pools of old clusters may still begin with cgroup v1.
    linuxNodeConfig: { cgroupMode: "CGROUP_MODE_V2" },
    labels,
  },
});

const bypass = new BypassNodePool(
  "edge",
  {
    image: config.require("image"),
    nodeSelector: labels,
    traffic: { ports: config.getObject<(number | string)[]>("ports") ?? [6379] },
    enabled: config.getBoolean("enabled") ?? true,
  },
  // The pods come when there are nodes, and go before the nodes do.
  { dependsOn: [nodes] },
);

export const generation = bypass.generation;
export const namespace = bypass.namespace;
export const daemonSet = bypass.daemonSet;
/** Lets `npx socket-bypass status --stack NAME` find the nodes. */
export const socketBypass = { workers: bypass.login };
