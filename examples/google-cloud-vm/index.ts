// SPDX-License-Identifier: Apache-2.0
// A VM on Google Cloud, and the bypass on it. The stack makes the VM's host key, so the first login
// already knows which machine it talks to.
import * as command from "@pulumi/command";
import * as gcp from "@pulumi/gcp";
import * as pulumi from "@pulumi/pulumi";
import * as tls from "@pulumi/tls";
import { BypassHost } from "socket-bypass";

const config = new pulumi.Config();
const ports = config.getObject<(number | string)[]>("ports") ?? [6379];

const login = new tls.PrivateKey("login", { algorithm: "ED25519" });
const host = new tls.PrivateKey("host", { algorithm: "ED25519" });

// cloud-init reads YAML, and JSON is YAML. It writes the host key before sshd starts.
const cloudConfig = pulumi.jsonStringify({
  ssh_authorized_keys: [login.publicKeyOpenssh],
  ssh_keys: { ed25519_private: host.privateKeyOpenssh, ed25519_public: host.publicKeyOpenssh },
  // Otherwise Google's agent makes host keys of its own when the VM boots for the first time.
  write_files: [
    {
      path: "/etc/default/instance_configs.cfg",
      append: true,
      content: "[InstanceSetup]\nset_host_keys = false\n",
    },
  ],
  // Ubuntu's bpftool belongs to one kernel.
  runcmd: ["apt-get update && apt-get install --yes linux-tools-$(uname -r)"],
});

const firewall = new gcp.compute.Firewall("ssh", {
  network: "default",
  allows: [{ protocol: "tcp", ports: ["22"] }],
  sourceRanges: [config.require("sshFrom")],
  targetTags: ["bypass-ssh"],
});
const vm = new gcp.compute.Instance(
  "web",
  {
    machineType: config.get("machineType") ?? "e2-small",
    zone: config.get("zone") ?? "europe-west1-b",
    // Google's Debian has no cloud-init.
    bootDisk: { initializeParams: { image: "ubuntu-os-cloud/ubuntu-2404-lts-amd64" } },
    networkInterfaces: [{ network: "default", accessConfigs: [{}] }],
    tags: ["bypass-ssh"],
    metadata: {
      "user-data": pulumi.interpolate`#cloud-config\n${cloudConfig}\n`,
      "block-project-ssh-keys": "true",
    },
  },
  // cloud-init reads its data once, so other keys need another VM. A newer image does not.
  { replaceOnChanges: ["metadata"], ignoreChanges: ["bootDisk.initializeParams.image"], dependsOn: [firewall] },
);

const connection = {
  host: vm.networkInterfaces.apply((all) => all[0]?.accessConfigs?.[0]?.natIp ?? ""),
  user: "ubuntu",
  privateKey: login.privateKeyOpenssh,
  hostKey: host.publicKeyOpenssh,
  dialErrorLimit: 30,
};
// sshd answers before cloud-init has installed bpftool.
const ready = new command.remote.Command(
  "ready",
  { connection, create: "cloud-init status --wait >/dev/null; /usr/sbin/bpftool version", triggers: [vm.instanceId] },
  { deletedWith: vm },
);
const bypass = new BypassHost(
  "web",
  { connection, become: "sudo -n", machineId: vm.instanceId, traffic: { ports } },
  // A VM that goes needs no clean-up.
  { dependsOn: [ready], deletedWith: vm },
);

export const address = connection.host;
export const generation = bypass.generation;
export const selfTest = bypass.selfTest;
/**
 * For `npx socket-bypass status --stack NAME`, which logs in by your own ssh: it needs this key in
 * its agent, and the host key in known_hosts.
 */
export const socketBypass = { web: bypass.login };
export const privateKey = login.privateKeyOpenssh;
export const hostKey = host.publicKeyOpenssh;
