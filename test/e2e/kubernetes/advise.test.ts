// SPDX-License-Identifier: Apache-2.0
/*
 * `advise` for a node, from a debug pod, as docs/reference/advise.md says. Not proven here:
 * other profiles of `kubectl debug`; a node whose processes are in the pid namespace in which
 * its kernel has started, where `advise` finds nothing unseen.
 */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { root } from "../../support/host.js";
import { Cluster, image, lacking } from "./cluster/cluster.js";
import { Place, port, sleeper } from "./traffic.js";

vi.setConfig({ testTimeout: 400_000 });
const isSkipped = lacking !== undefined && !process.env.CI;

interface Service {
  readonly port: number;
  readonly clients: readonly string[];
  readonly connections: number;
  readonly onHost: number;
  readonly advice: string;
}

describe.skipIf(isSkipped)("a debug pod of a node", () => {
  let cluster: Cluster;
  let one: Place;
  let two: Place;
  let pod: string;

  beforeAll(async () => {
    cluster = await Cluster.make({ nodes: 1 });
    const node = cluster.node(1);
    await cluster.apply(...sleeper("one", "node-1"), ...sleeper("two", "node-1"));
    await cluster.kubectl("wait", "pods", "--all", "--for=condition=Ready", "--timeout=60s");
    one = await Place.ofPod(cluster, node, "one");
    two = await Place.ofPod(cluster, node, "two");
    await two.serve();
    const words = ["--image", image, "--image-pull-policy=Never", "--profile=sysadmin", "--attach=false"];
    await cluster.kubectl("debug", "node/node-1", ...words, "--", "sleep", "600");
    const names = await cluster.kubectl("get", "pods", "-o", "name");
    pod = names.split("\n").find((name) => name.startsWith("pod/node-debugger-")) ?? "";
    await cluster.kubectl("wait", pod, "--for=condition=Ready", "--timeout=60s");
    const files = execFileSync("tar", ["-c", "-C", join(root, "dist/host"), "."], { maxBuffer: 1 << 28 });
    inPod(files, "mkdir /tmp/socket-bypass && tar -xo -C /tmp/socket-bypass");
  });

  afterAll(async () => {
    for (const place of [one, two]) place?.end();
    await cluster?.down();
  });

  test("sees both ends of a connection between two other pods by a ClusterIP", async () => {
    const talk = await one.talk(two.services[0] ?? "", 80, 4);
    const advice = JSON.parse(inPod("", "sh /tmp/socket-bypass/socket-bypass advise --json --seconds 3"));
    expect((await talk.stop()).faults).toEqual([]);
    const found: Service[] = advice.services.filter((service: Service) => service.port === port);
    expect(found).toEqual([
      expect.objectContaining({ clients: ["python3"], connections: 4, onHost: 4, advice: "include" }),
    ]);
    expect(advice.traffic.ports).toContain(port);
  });

  test("leaves nothing in the kernel", async () => {
    const pins = "find /sys/fs/bpf -mindepth 1 -name 'socket-bypass*'";
    expect(await cluster.node(1).run("sh", "-c", pins)).toBe("");
  });

  /** Runs a line of the shell in the debug pod. */
  function inPod(input: string | Buffer, line: string): string {
    const words = ["--kubeconfig", cluster.kubeconfig, "exec", "-i", pod, "--", "sh", "-c", line];
    return execFileSync(join(cluster.folder, "bin/kubectl"), words, { input, encoding: "utf8", maxBuffer: 1 << 26 });
  }
});
