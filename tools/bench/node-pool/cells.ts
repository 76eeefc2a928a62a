// SPDX-License-Identifier: Apache-2.0
import { join } from "node:path";
import type { Cluster, Node } from "../../../test/e2e/kubernetes/cluster/cluster";
import { redirectedOn } from "../../../test/e2e/kubernetes/pool";
import { Place, sleeper } from "../../../test/e2e/kubernetes/traffic";
import { bench, run } from "../loopback/probe";
import type { Way } from "../loopback/ways";
import type { Cell } from "../report/cell";

/** The port that the policy of the pool names. */
export const bypassedPort = 7000;
/** Each way has a port of its own. Everything else is the same, and all ways are open at once. */
const ports: Partial<Record<Way, number>> = { tcp: 7001, bypass: bypassedPort, tcpAgain: 7002 };
const script = join(__dirname, "../loopback/connect.py");

/**
 * Starts two pods on the first node and one on the second, each with a Service, and gives the cells
 * that measure between them.
 */
export async function openCells(cluster: Cluster, ms: number): Promise<Cell[]> {
  const open = Object.entries(ports).map(([way, port]) => ({ name: way.toLowerCase(), port }));
  const homes = { one: 1, two: 1, far: 2 } as const;
  await cluster.apply(...Object.entries(homes).flatMap(([name, at]) => sleeper(name, cluster.node(at).name, open)));
  await cluster.kubectl("wait", "pods", "--all", "--for=condition=Ready", "--timeout=60s");
  const place = (name: keyof typeof homes) => Place.ofPod(cluster, cluster.node(homes[name]), name);
  const [one, two, far] = [await place("one"), await place("two"), await place("far")];
  const [address = "", service = "", farService = ""] = [two.addresses[0], two.services[0], far.services[0]];
  return (
    [
      ["0,0", "one CPU"],
      ["0,1", "two CPUs"],
    ] as const
  ).flatMap(([pin, cpus]) => [
    cell(`pod to pod on one node, request/response 64 B, ${cpus}`, one, two, address, pin, ms),
    cell(`pod to ClusterIP on one node, request/response 64 B, ${cpus}`, one, two, service, pin, ms),
    cell(`pod to ClusterIP across nodes, request/response 64 B, ${cpus}`, one, far, farService, pin, ms),
  ]);
}

function cell(name: string, client: Place<Node>, server: Place<Node>, dial: string, pin: string, ms: number): Cell {
  const nodes = [...new Set([client.node, server.node])];
  const redirected = async () =>
    (await Promise.all(nodes.map((node) => redirectedOn(node)))).reduce((sum, count) => sum + count, 0);
  return {
    name,
    unit: "round trips/s",
    ways: Object.keys(ports) as Way[],
    run: async (way) => {
      const before = await redirected();
      const ends = [...inside(server), server.addresses[0] ?? "", ...inside(client), dial, `${ports[way]}`];
      const { rps, messages } = await run(["python3", "-B", script, ...ends, ...bench("rr", 64, pin, ms)]);
      const found = (await redirected()) - before;
      // A round trip is two messages; the first few messages of a connection go by TCP.
      const least = way === "bypass" && nodes.length === 1 ? messages : 0;
      if (least === 0 ? found > 0 : found <= least)
        throw new Error(
          `${name}, port ${ports[way]}: expected ${least === 0 ? "no message" : `more than ${least} messages`} to be redirected, found ${found}`,
        );
      return rps;
    },
  };
}

/** Arguments of connect.py: the network namespace of a pod and the cgroup of its node. */
function inside({ node, network }: Place<Node>): [string, string] {
  return [node.outside(network), node.outside("/sys/fs/cgroup/unified")];
}
