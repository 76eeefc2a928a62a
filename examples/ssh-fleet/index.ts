// SPDX-License-Identifier: Apache-2.0
// Installs the bypass on the machines in the configuration over SSH: one first, then the others in
// batches.
import * as pulumi from "@pulumi/pulumi";
import { type Host, SocketBypass } from "socket-bypass";

interface Machine {
  readonly address: string;
  readonly hostKey: string;
  readonly port?: number;
}

const config = new pulumi.Config();
const machines = config.requireObject<Record<string, Machine>>("machines");
const user = config.get("user") ?? "root";
const privateKey = config.requireSecret("privateKey");
const bastion = config.getObject<Machine>("bastion");

const login = ({ address, hostKey, port = 22 }: Machine) => ({ host: address, port, user, privateKey, hostKey });
const hosts: Record<string, Host> = {};
for (const [name, machine] of Object.entries(machines)) {
  hosts[name] = {
    connection: { ...login(machine), ...(bastion && { proxy: login(bastion) }) },
    ...(user === "root" ? {} : { become: "sudo -n" }),
  };
}

const bypass = new SocketBypass("edge", {
  hosts,
  traffic: { ports: config.getObject<(number | string)[]>("ports") ?? [6379] },
  rollout: {
    canary: config.getObject<string[]>("canary") ?? Object.keys(machines).sort().slice(0, 1),
    batchSize: config.getNumber("batchSize") ?? 10,
  },
  detectDrift: config.getBoolean("detectDrift") ?? false,
});

export const reports = bypass.hosts;
export const generation = bypass.generation;
/** For `npx socket-bypass status --stack NAME`. */
export const socketBypass = bypass.logins;
