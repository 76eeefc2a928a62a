// SPDX-License-Identifier: Apache-2.0
// A VM on Azure, and the bypass on it. The stack makes the VM's host key, so the first login
// already knows which machine it talks to.
import * as azure from "@pulumi/azure";
import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import * as tls from "@pulumi/tls";
import { BypassHost } from "socket-bypass";

const config = new pulumi.Config();
const ports = config.getObject<(number | string)[]>("ports") ?? [6379];
const user = "ops";

const login = new tls.PrivateKey("login", { algorithm: "ED25519" });
const host = new tls.PrivateKey("host", { algorithm: "ED25519" });

// cloud-init reads YAML, and JSON is YAML. It writes the host key before sshd starts.
const cloudConfig = pulumi.jsonStringify({
  ssh_keys: { ed25519_private: host.privateKeyOpenssh, ed25519_public: host.publicKeyOpenssh },
  packages: ["bpftool"],
  // Makes the other types. Azure's agent waits half an hour for a key of type rsa.
  runcmd: ["ssh-keygen -A"],
});
const customData = pulumi.interpolate`#cloud-config\n${cloudConfig}\n`.apply((text) =>
  Buffer.from(text).toString("base64"),
);

const resourceGroup = new azure.core.ResourceGroup("bypass", { location: config.get("location") ?? "West Europe" });
const place = { resourceGroupName: resourceGroup.name, location: resourceGroup.location };
const network = new azure.network.VirtualNetwork("bypass", { ...place, addressSpaces: ["10.0.0.0/16"] });
const subnet = new azure.network.Subnet("bypass", {
  resourceGroupName: resourceGroup.name,
  virtualNetworkName: network.name,
  addressPrefixes: ["10.0.1.0/24"],
});
const securityGroup = new azure.network.NetworkSecurityGroup("ssh", {
  ...place,
  securityRules: [
    {
      name: "ssh",
      priority: 100,
      direction: "Inbound",
      access: "Allow",
      protocol: "Tcp",
      sourcePortRange: "*",
      sourceAddressPrefix: config.require("sshFrom"),
      destinationPortRange: "22",
      destinationAddressPrefix: "*",
    },
  ],
});
const publicIp = new azure.network.PublicIp("web", { ...place, allocationMethod: "Static", sku: "Standard" });
const networkInterface = new azure.network.NetworkInterface("web", {
  ...place,
  ipConfigurations: [
    {
      name: "web",
      subnetId: subnet.id,
      privateIpAddressAllocation: "Dynamic",
      publicIpAddressId: publicIp.id,
    },
  ],
});
const guarded = new azure.network.NetworkInterfaceSecurityGroupAssociation("web", {
  networkInterfaceId: networkInterface.id,
  networkSecurityGroupId: securityGroup.id,
});
const vm = new azure.compute.LinuxVirtualMachine(
  "web",
  {
    ...place,
    size: config.get("size") ?? "Standard_B2s",
    networkInterfaceIds: [networkInterface.id],
    adminUsername: user,
    adminSshKeys: [{ username: user, publicKey: login.publicKeyOpenssh }],
    customData,
    osDisk: { caching: "ReadWrite", storageAccountType: "Standard_LRS" },
    sourceImageReference: { publisher: "Debian", offer: "debian-13", sku: "13-gen2", version: "latest" },
  },
  // A network interface serves one VM at a time.
  { dependsOn: [guarded], deleteBeforeReplace: true },
);

const connection = {
  host: publicIp.ipAddress,
  user,
  privateKey: login.privateKeyOpenssh,
  hostKey: host.publicKeyOpenssh,
  dialErrorLimit: 30,
};
// sshd answers before cloud-init has installed bpftool.
const ready = new command.remote.Command(
  "ready",
  {
    connection,
    create: "cloud-init status --wait >/dev/null; test -x /usr/sbin/bpftool",
    triggers: [vm.virtualMachineId],
  },
  { deletedWith: vm },
);
const bypass = new BypassHost(
  "web",
  { connection, become: "sudo -n", machineId: vm.virtualMachineId, traffic: { ports } },
  // A VM that goes needs no clean-up.
  { dependsOn: [ready], deletedWith: vm },
);

export const address = publicIp.ipAddress;
export const generation = bypass.generation;
export const selfTest = bypass.selfTest;
/**
 * For `npx socket-bypass status --stack NAME`, which logs in by your own ssh: it needs this key in
 * its agent, and the host key in known_hosts.
 */
export const socketBypass = { web: bypass.login };
export const privateKey = login.privateKeyOpenssh;
export const hostKey = host.publicKeyOpenssh;
