// SPDX-License-Identifier: Apache-2.0
// First looks which connections of this machine would gain, and loads nothing into the datapath.
// Once the configuration has ports, installs the bypass for them.
import * as pulumi from "@pulumi/pulumi";
import { SocketBypass } from "socket-bypass";

const config = new pulumi.Config();
const ports = config.getObject<(number | string)[]>("ports");
const rerun = config.get("rerun");

const bypass = new SocketBypass("edge", {
  hosts: { here: { local: true } },
  observe: { seconds: config.getNumber("seconds") ?? 30, ...(rerun && { rerun }) },
  ...(ports && { traffic: { ports } }),
});

export const advice = bypass.advice;
export const hosts = bypass.hosts;
