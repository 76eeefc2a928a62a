// SPDX-License-Identifier: Apache-2.0
// Lets TCP between two sockets of this machine skip the TCP/IP stack, for the ports in the
// configuration.
import * as pulumi from "@pulumi/pulumi";
import { SocketBypass } from "socket-bypass";

const config = new pulumi.Config();

const bypass = new SocketBypass("edge", {
  hosts: { here: { local: true } },
  cgroup: config.get("cgroup") ?? "/",
  traffic: { ports: config.getObject<(number | string)[]>("ports") ?? [6379] },
});

export const hosts = bypass.hosts;
export const generation = bypass.generation;
