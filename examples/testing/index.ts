// SPDX-License-Identifier: Apache-2.0
// The stack that the tests are about: the machines in the configuration get the bypass.
import * as pulumi from "@pulumi/pulumi";
import { type Host, SocketBypass } from "socket-bypass";

interface Machine {
  readonly address: string;
  readonly hostKey: string;
}

const config = new pulumi.Config();
const machines = config.requireObject<Record<string, Machine>>("machines");
const privateKey = config.requireSecret("privateKey");

/** One host for each machine; the name of a machine that is on trial ends in "-canary". */
export function hostsOf(all: Readonly<Record<string, Machine>>): Record<string, Host> {
  return Object.fromEntries(
    Object.entries(all).map(([name, { address, hostKey }]) => [
      name,
      { connection: { host: address, user: "ops", privateKey, hostKey }, become: "sudo -n" },
    ]),
  );
}

const bypass = new SocketBypass("edge", {
  hosts: hostsOf(machines),
  traffic: { ports: config.getObject<(number | string)[]>("ports") ?? [6379] },
  rollout: { canary: Object.keys(machines).filter((name) => name.endsWith("-canary")) },
  detectDrift: true,
});

export const hosts = bypass.hosts;
export const logins = bypass.logins;
export const generation = bypass.generation;
