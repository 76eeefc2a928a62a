// SPDX-License-Identifier: Apache-2.0
// Adds a node pool to an AKS cluster, and the bypass to its nodes. The cluster is that of the
// current kubeconfig.
import * as azure from "@pulumi/azure";
import * as pulumi from "@pulumi/pulumi";
import { BypassNodePool } from "socket-bypass";

const config = new pulumi.Config();
const labels = { "example.com/bypass": "yes" };

const nodes = new azure.containerservice.KubernetesClusterNodePool("bypass", {
  kubernetesClusterId: config.require("clusterId"),
  // AKS takes at most twelve letters and digits.
  name: "bypass",
  vmSize: config.get("vmSize") ?? "Standard_D2s_v5",
  osSku: "AzureLinux",
  autoScalingEnabled: true,
  minCount: 1,
  maxCount: config.getNumber("maxNodes") ?? 6,
  nodeLabels: labels,
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
