// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import * as path from "node:path";
import type { Cell, Suite } from "../report/cell";
import { bench, run } from "./probe";
import { groupFor, type Way, ways } from "./ways";

const tag = `sbb${process.pid}`;
const [near, node, far] = [`${tag}near`, `${tag}node`, `${tag}far`];
const port = 7000;
const service = "10.96.0.10";
const overTcp = ways.filter((way) => way !== "unix");

// The network is a pod, a node that forwards, and another pod. The node rewrites the service's
// address, as kube-proxy does.
const rules = `table ip bench {
  chain prerouting { type nat hook prerouting priority -100; ip daddr ${service} tcp dport ${port} dnat to 10.78.0.2; }
}`;

/**
 * Two pods of one node, by address and by service; and a peer "elsewhere", whose sockets are in no
 * tracked cgroup.
 */
export function networks(ms: number): Suite {
  const cells: Cell[] = [];
  for (const [pin, place] of [
    ["0,0", "one CPU"],
    ["0,1", "two CPUs"],
  ] as const) {
    cells.push(
      across(`pod to pod, request/response 64 B, ${place}`, "rr", 64, "10.78.0.2", pin, ms),
      across(`pod to ClusterIP, request/response 64 B, ${place}`, "rr", 64, service, pin, ms),
    );
  }
  cells.push(
    across("pod to pod, one-way stream 64 KiB, two CPUs", "stream", 65536, "10.78.0.2", "0,1", ms),
    across("peer elsewhere, request/response 64 B, one CPU", "rr", 64, "10.78.0.2", "0,0", ms, true),
    across("peer elsewhere, one-way stream 64 KiB, two CPUs", "stream", 65536, "10.78.0.2", "0,1", ms, true),
  );
  return { cells, open, close };
}

function across(
  name: string,
  mode: "rr" | "stream",
  size: number,
  dial: string,
  pin: string,
  ms: number,
  isElsewhere = false,
): Cell {
  return {
    name,
    unit: mode === "rr" ? "round trips/s" : "Mbit/s",
    ways: overTcp,
    run: async (way: Way) => {
      const server = [far, groupFor(isElsewhere ? "tcp" : way), "10.78.0.2"];
      const client = [near, groupFor(way), dial, `${port}`];
      const script = path.join(__dirname, "connect.py");
      const answer = await run(["python3", "-B", script, ...server, ...client, ...bench(mode, size, pin, ms)]);
      return mode === "rr" ? answer.rps : answer.mbps;
    },
  };
}

function open(): void {
  for (const name of [near, node, far]) ip("netns", "add", name);
  wire(near, "10.77.0.2/24", "10.77.0.1/24", "near0");
  wire(far, "10.78.0.2/24", "10.78.0.1/24", "far0");
  ip("-n", near, "route", "add", "default", "via", "10.77.0.1");
  ip("-n", far, "route", "add", "default", "via", "10.78.0.1");
  ip("netns", "exec", node, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward");
  execFileSync("ip", ["netns", "exec", node, "nft", "-f", "-"], { input: rules });
}

function wire(pod: string, address: string, gateway: string, link: string): void {
  ip("-n", node, "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", pod);
  for (const [name, device, its] of [
    [node, link, gateway],
    [pod, "eth0", address],
  ] as const) {
    ip("-n", name, "address", "add", its, "dev", device);
    ip("-n", name, "link", "set", device, "up");
    ip("-n", name, "link", "set", "lo", "up");
  }
}

/** This also works after open() has failed half-way. */
function close(): void {
  const there = execFileSync("ip", ["netns", "list"], { encoding: "utf8" });
  for (const name of [near, node, far]) if (there.includes(name)) ip("netns", "delete", name);
}

function ip(...words: string[]): void {
  execFileSync("ip", words, { stdio: ["ignore", "ignore", "inherit"] });
}
