// SPDX-License-Identifier: Apache-2.0
// Adds a node group to an EKS cluster, and the bypass to its nodes. The cluster is that of the
// current kubeconfig.
import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import { BypassNodePool } from "socket-bypass";

const config = new pulumi.Config();
const labels = { "example.com/bypass": "yes" };

const nodes = new aws.eks.NodeGroup(
  "bypass",
  {
    clusterName: config.require("cluster"),
    nodeRoleArn: config.require("nodeRoleArn"),
    subnetIds: config.requireObject<string[]>("subnetIds"),
    // Amazon Linux 2 has no cgroup v2.
    amiType: "AL2023_x86_64_STANDARD",
    instanceTypes: [config.get("instanceType") ?? "m7i.large"],
    scalingConfig: { minSize: 1, desiredSize: 2, maxSize: config.getNumber("maxNodes") ?? 6 },
    labels,
  },
  { ignoreChanges: ["scalingConfig.desiredSize"] },
);

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
