// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { image } from "./cluster.js";

export { image };

/**
 * A Deployment with a server on each of two nodes, which answers with its name at :8080/name over
 * IPv4 and IPv6.
 */
export function web(): object {
  const labels = { app: "web" };
  const serve = "mkdir /tmp/www && hostname >/tmp/www/name && exec httpd -f -p 8080 -h /tmp/www";
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "web", namespace: "default" },
    spec: {
      replicas: 2,
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          terminationGracePeriodSeconds: 0,
          affinity: {
            podAntiAffinity: {
              requiredDuringSchedulingIgnoredDuringExecution: [
                { labelSelector: { matchLabels: labels }, topologyKey: "kubernetes.io/hostname" },
              ],
            },
          },
          containers: [{ name: "web", image, imagePullPolicy: "Never", command: ["sh", "-c", serve] }],
        },
      },
    },
  };
}

/** The shell line that asks such a server; the wget of Debian's static busybox crashes. */
export function asking(ip: string, port: number): string {
  return `printf 'GET /name HTTP/1.0\\r\\n\\r\\n' | busybox nc -w 5 ${ip} ${port} | tail -n 1`;
}

export function service(family: "IPv4" | "IPv6"): object {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: `web-${family.toLowerCase()}`, namespace: "default" },
    spec: { ipFamilies: [family], selector: { app: "web" }, ports: [{ port: 80, targetPort: 8080 }] },
  };
}

/** Lists what is left of a keeper's cluster on the machine: cgroups, processes, folders, mounts. */
export function tracesOf(keeper: number): string[] {
  const mounts = read("/proc/mounts").split("\n");
  const hierarchies = mounts.map((line) => line.split(" ")).filter(([, , type]) => type?.startsWith("cgroup"));
  const word = `socket-bypass-kubernetes-${keeper}`;
  return [
    ...hierarchies.flatMap(([, mount = ""]) =>
      lines("find", mount, "-ignore_readdir_race", "-type", "d", "-name", `test-${keeper}-kubernetes`),
    ),
    ...fs.readdirSync("/proc").filter((pid) => /^\d+$/.test(pid) && read(`/proc/${pid}/cmdline`).includes(word)),
    ...fs.readdirSync(tmpdir()).filter((name) => name === word),
    ...mounts.filter((line) => line.includes(word)),
  ];
}

/** What a cluster could change on the machine, if it were not confined to its namespaces. */
export function machineState(): Record<string, unknown> {
  const kubelet = ["vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops"];
  const network = ["net/ipv4/ip_forward", "net/ipv4/conf/all/route_localnet", "net/netfilter/nf_conntrack_max"];
  const folders = [
    "/var/lib/kubelet",
    "/var/lib/cni",
    "/var/log/pods",
    "/etc/cni",
    "/opt/containerd",
    "/run/containerd",
  ];
  return {
    settings: [...kubelet, ...network].map((name) => [name, read(`/proc/sys/${name}`)]),
    folders: folders.filter((folder) => fs.existsSync(folder)),
    links: lines("ip", "-o", "link").filter((line) => /: (cluster|node-\d|veth[0-9a-f]{8})[:@]/.test(line)),
    routes: lines("ip", "route").filter((line) => line.startsWith("10.")),
    rules: lines("nft", "list", "ruleset").filter((line) => /kube/i.test(line)),
  };
}

export async function waitFor(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; !(await isSo()); tries++) {
    if (tries === 900) throw new Error(`expected ${what} within 90 s, found it false`);
    await new Promise((wake) => setTimeout(wake, 100));
  }
}

function lines(command: string, ...args: readonly string[]): string[] {
  // ip complains about links whose other end is in a namespace that is just ending.
  return execFileSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] })
    .split("\n")
    .filter(Boolean);
}

/** Empty if the file does not exist, or no longer does. */
function read(file: string): string {
  try {
    return fs.readFileSync(file, "utf8").trim();
  } catch {
    return "";
  }
}
