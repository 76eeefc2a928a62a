// SPDX-License-Identifier: Apache-2.0
// A VM on AWS, and the bypass on it. The stack makes the VM's host key, so the first login already
// knows which machine it talks to.
import * as aws from "@pulumi/aws";
import * as command from "@pulumi/command";
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
  packages: ["bpftool"],
});

const image = aws.ec2.getAmiOutput({
  mostRecent: true,
  // Debian's account.
  owners: ["136693071363"],
  filters: [{ name: "name", values: ["debian-13-amd64-*"] }],
});
const group = new aws.ec2.SecurityGroup("ssh", {
  ingress: [{ protocol: "tcp", fromPort: 22, toPort: 22, cidrBlocks: [config.require("sshFrom")] }],
  egress: [{ protocol: "-1", fromPort: 0, toPort: 0, cidrBlocks: ["0.0.0.0/0"] }],
});
const vm = new aws.ec2.Instance(
  "web",
  {
    ami: image.id,
    instanceType: config.get("instanceType") ?? "t3.small",
    vpcSecurityGroupIds: [group.id],
    userData: pulumi.interpolate`#cloud-config\n${cloudConfig}\n`,
    userDataReplaceOnChange: true,
    // The host key is in the user data, which containers cannot read by this.
    metadataOptions: { httpTokens: "required", httpPutResponseHopLimit: 1 },
  },
  // A newer image is no reason for another VM.
  { ignoreChanges: ["ami"] },
);

const connection = {
  host: vm.publicIp,
  user: "admin",
  privateKey: login.privateKeyOpenssh,
  hostKey: host.publicKeyOpenssh,
  dialErrorLimit: 30,
};
// sshd answers before cloud-init has installed bpftool.
const ready = new command.remote.Command(
  "ready",
  { connection, create: "cloud-init status --wait >/dev/null; test -x /usr/sbin/bpftool", triggers: [vm.id] },
  { deletedWith: vm },
);
const bypass = new BypassHost(
  "web",
  { connection, become: "sudo -n", machineId: vm.id, traffic: { ports } },
  // A VM that goes needs no clean-up.
  { dependsOn: [ready], deletedWith: vm },
);

export const address = vm.publicIp;
export const generation = bypass.generation;
export const selfTest = bypass.selfTest;
/**
 * For `npx socket-bypass status --stack NAME`, which logs in by your own ssh: it needs this key in
 * its agent, and the host key in known_hosts.
 */
export const socketBypass = { web: bypass.login };
export const privateKey = login.privateKeyOpenssh;
export const hostKey = host.publicKeyOpenssh;
