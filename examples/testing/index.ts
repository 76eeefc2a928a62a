// SPDX-License-Identifier: Apache-2.0
// The stack that the tests are about: the machines in the configuration get the bypass.
import * as pulumi from "@pulumi/pulumi";
import { SocketBypass } from "socket-bypass";
import { hostsOf, type Machine } from "./hosts";

const config = new pulumi.Config();
const machines = config.requireObject<Record<string, Machine>>("machines");
const privateKey = config.requireSecret("privateKey");

// The name of a machine that is on trial ends in "-canary".
const bypass = new SocketBypass("edge", {
  hosts: hostsOf(machines, privateKey),
  traffic: { ports: config.getObject<(number | string)[]>("ports") ?? [6379] },
  rollout: { canary: Object.keys(machines).filter((name) => name.endsWith("-canary")) },
  detectDrift: true,
});

export const hosts = bypass.hosts;
export const logins = bypass.logins;
export const generation = bypass.generation;
