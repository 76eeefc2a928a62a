// SPDX-License-Identifier: Apache-2.0
// Two pods, a node that forwards between them and rewrites the address of a service as kube-proxy
// does, and a network in which no process lives, so that whoever looks at this machine takes it for
// another one.
import { execFileSync } from "node:child_process";

/** With the bypass, or without it. */
export const places = ["tcp", "bypass"] as const;
export type Place = (typeof places)[number];

const tag = `sba${process.pid}`;
export const [near, node, far, elsewhere] = [`${tag}near`, `${tag}node`, `${tag}far`, `${tag}else`];
export const farAddress = "10.78.0.2";
export const service: { readonly address: string; readonly ports: Record<Place, number> } = {
  address: "10.96.0.10",
  ports: { tcp: 6380, bypass: 6381 },
};

/** `backends` are the ports on which the service's servers listen. */
export function openNetwork(backends: Record<Place, number>): void {
  for (const name of [near, node, far, elsewhere]) ip("netns", "add", name);
  wire(near, 77, "near0");
  wire(far, 78, "far0");
  wire(elsewhere, 79, "else0");
  inside(node, ["sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward"]);
  const rules = (["tcp", "bypass"] as const).map(
    (place) =>
      `ip daddr ${service.address} tcp dport ${service.ports[place]} dnat to ${farAddress}:${backends[place]};`,
  );
  const chain = `chain prerouting {\ntype nat hook prerouting priority -100;\n${rules.join("\n")}\n}`;
  inside(node, ["nft", "-f", "-"], `table ip bench {\n${chain}\n}\n`);
}

function wire(pod: string, network: number, link: string): void {
  const gateway = `10.${network}.0.1`;
  ip("-n", node, "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", pod);
  for (const [name, device, address] of [
    [node, link, gateway],
    [pod, "eth0", `10.${network}.0.2`],
  ] as const) {
    ip("-n", name, "address", "add", `${address}/24`, "dev", device);
    ip("-n", name, "link", "set", device, "up");
    ip("-n", name, "link", "set", "lo", "up");
  }
  ip("-n", pod, "route", "add", "default", "via", gateway);
}

/** This also works after openNetwork() has failed half-way. */
export function closeNetwork(): void {
  const there = execFileSync("ip", ["netns", "list"], { encoding: "utf8" });
  for (const name of [near, node, far, elsewhere]) if (there.includes(name)) ip("netns", "delete", name);
}

function inside(space: string, words: string[], input = ""): void {
  execFileSync("ip", ["netns", "exec", space, ...words], { input, stdio: ["pipe", "ignore", "inherit"] });
}

function ip(...words: string[]): void {
  execFileSync("ip", words, { stdio: ["ignore", "ignore", "inherit"] });
}
