// SPDX-License-Identifier: Apache-2.0
// Installs the bypass on the nodes that the configuration selects, in the cluster of the current
// kubeconfig.
import * as pulumi from "@pulumi/pulumi";
import { SocketBypass } from "socket-bypass";

const config = new pulumi.Config();
const nodeSelector = config.getObject<Record<string, string>>("nodeSelector");
const namespace = config.get("namespace");

const bypass = new SocketBypass("edge", {
  nodePools: {
    workers: {
      image: config.require("image"),
      maxSurge: config.get("maxSurge") ?? "1",
      ...(nodeSelector && { nodeSelector }),
      ...(namespace && { namespace }),
    },
  },
  traffic: { ports: config.getObject<(number | string)[]>("ports") ?? [6379] },
  enabled: config.getBoolean("enabled") ?? true,
});

export const nodePools = bypass.nodePools;
export const generation = bypass.generation;
/** Lets `npx socket-bypass status --stack NAME` find the nodes. */
export const socketBypass = bypass.logins;
