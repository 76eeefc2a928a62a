// SPDX-License-Identifier: Apache-2.0
// Lets TCP between two sockets of this machine skip the TCP/IP stack, for the ports in the
// configuration.
import * as pulumi from "@pulumi/pulumi";
import { SocketBypass } from "socket-bypass";

const config = new pulumi.Config();
// `pulumi config set --path 'ports[0]' 6379` stores a number.
const ports = (config.getObject<(string | number)[]>("ports") ?? ["6379"]).map(String);

const bypass = new SocketBypass("edge", {
  hosts: { here: { local: true } },
  cgroup: config.get("cgroup") ?? "/",
  traffic: { ports },
});

export const hosts = bypass.hosts;
export const generation = bypass.generation;
