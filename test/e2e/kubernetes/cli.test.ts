// SPDX-License-Identifier: Apache-2.0
import { execFileSync, spawn } from "node:child_process";
import * as fs from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { findEngine } from "../../../tools/pulumi/stack.js";
import { cli, makeFolder } from "../../src/cli/run.js";
import { Cluster, lacking } from "./cluster/cluster.js";
import { Pool, until } from "./pool.js";
import { Place, port, sleeper } from "./traffic.js";

/*
 * The command on the operator's machine, and `tap` by kubectl, with a real API server, kubelets and
 * containers. Not proven here: a user of the cluster with fewer rights than its administrator.
 */
vi.setConfig({ testTimeout: 200_000 });
const isSkipped = lacking !== undefined && !process.env.CI;

describe.skipIf(isSkipped)("the nodes of a pool, from the operator's machine", () => {
  let cluster: Cluster;
  let pool: Pool;
  let env: Record<string, string>;
  let one: Place;
  let two: Place;
  let talk: Awaited<ReturnType<Place["talk"]>>;

  beforeAll(async () => {
    cluster = await Cluster.make();
    await cluster.apply(...sleeper("one", "node-1"), ...sleeper("two", "node-1"));
    await cluster.kubectl("wait", "pods", "--all", "--for=condition=Ready", "--timeout=60s");
    one = await Place.ofPod(cluster, cluster.node(1), "one");
    two = await Place.ofPod(cluster, cluster.node(1), "two");
    await two.serve();
    pool = new Pool(cluster);
    await pool.up();
    const folders = [dirname(findEngine().pulumi), join(cluster.folder, "bin"), process.env.PATH];
    env = { ...(await pool.environment()), PATH: folders.join(":") };
    talk = await one.talk(two.addresses[0] ?? "");
  });

  afterAll(async () => {
    for (const place of [one, two]) place?.end();
    await pool?.end();
    await cluster?.down();
  });

  const ask = (verb: string, ...flags: string[]) =>
    cli([verb, "--stack", pool.stackName, ...flags], env, join(pool.folder, "backend"));
  const inPod = async (node: string, ...words: string[]) => {
    const { namespace } = await pool.outputs();
    const name = (await pool.pods()).find((one) => one.node === node)?.name ?? "";
    return ["-n", namespace, "exec", name, "-c", "loader", "--", ...words];
  };

  test("status has a row for each node, with the messages that it redirected", async () => {
    const { code, stdout, stderr } = await ask("status");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const rows = stdout
      .trimEnd()
      .split("\n")
      .map((row) => row.split(/ {2,}/));
    const { generation } = await pool.outputs();
    expect(rows.map((row) => [row[0], row[2], row[3], Number(row[5]) > 0, row[7]])).toEqual([
      ["HOST", "HEALTHY", "SERVING", false, "PROBLEM"],
      ["workers/node-1", "yes", generation, true, "-"],
      ["workers/node-2", "yes", generation, false, "-"],
    ]);
    const json = JSON.parse((await ask("status", "--node", "node-2", "--json")).stdout);
    expect(json).toMatchObject({ hosts: [{ host: "workers/node-2", answer: [{ healthy: true }] }] });
  });

  test("flows has both ends of each connection between pods, metrics the counters of all nodes", async () => {
    const flows = await ask("flows");
    expect(flows).toMatchObject({ code: 0, stderr: "" });
    const server = `[::ffff:${two.addresses[0]}]:${port}`.replace(/[.[\]]/g, "\\$&");
    expect(flows.stdout.match(new RegExp(`^workers/node-1 +\\S+ +${server} +bypass`, "gm"))).toHaveLength(4);
    const metrics = await ask("metrics");
    expect(metrics).toMatchObject({ code: 0, stderr: "" });
    const healthy = /^socket_bypass_healthy\{host="(workers\/node-[12])",instance="edge-workers-[0-9a-f]{8}"\} 1$/gm;
    expect([...metrics.stdout.matchAll(healthy)].map(([, host]) => host)).toEqual(["workers/node-1", "workers/node-2"]);
  });

  test("top follows the rates of all nodes, and leaves no process in a pod", async () => {
    const { code, stdout, stderr } = await ask("top", "--interval", "1", "--count", "4", "--json");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const { hosts } = JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "");
    const [first, second] = hosts;
    expect([first.host, second.host]).toEqual(["workers/node-1", "workers/node-2"]);
    const its = first.answer.ports.find((found: { port: number }) => found.port === port);
    expect(its.bypass.messages).toBeGreaterThan(0);
    expect(second.answer.connections).toBe(0);
    const look = await inPod("node-1", "sh", "-c", "ps | grep -c '[t]op --json' || :");
    await until("top to have ended in the pod", async () => (await cluster.kubectl(...look)).trim() === "0");
  });

  test("advise says why it leaves out the pool, and a pod says so too", async () => {
    const { code, stderr } = await ask("advise");
    expect(code).toBe(1);
    expect(stderr).toContain("advise leaves out the node pools workers, because a pod does not see");
    const words = await inPod("node-1", "sh", "/opt/socket-bypass/pod.sh", "advise");
    await expect(cluster.kubectl(...words)).rejects.toThrow("expected a host's own processes and network namespaces");
  });

  test("a context that is not there, and a user who may not exec, are said in kubectl's own words", async () => {
    const gone = await ask("status", "--context", "gone");
    expect(gone.code).toBe(1);
    expect(gone.stdout).toMatch(/^workers .*kubectl: .*context "gone" does not exist/m);
    const reader = join(makeFolder(), "kubeconfig");
    fs.copyFileSync(cluster.kubeconfig, reader);
    const words = ["--kubeconfig", reader, "config", "set-credentials", "reader", "--token=none"];
    execFileSync(join(cluster.folder, "bin/kubectl"), words);
    execFileSync(join(cluster.folder, "bin/kubectl"), [
      ...["--kubeconfig", reader, "config", "set-context", "--current", "--user=reader"],
    ]);
    const refused = await cli(
      ["status", "--stack", pool.stackName],
      { ...env, KUBECONFIG: reader },
      join(pool.folder, "backend"),
    );
    expect(refused.code).toBe(1);
    expect(refused.stdout).toMatch(/^workers .*kubectl: .*(Unauthorized|must be logged in|credentials)/m);
  });

  test("tap by kubectl exec writes what pods say to each other, with their addresses", async () => {
    const script = ["sh", "/opt/socket-bypass/pod.sh", "tap", "--port", `${port}`, "--seconds", "2", "-w", "-"];
    const file = join(makeFolder(), "file.pcapng");
    const out = fs.openSync(file, "w");
    const words = ["--kubeconfig", cluster.kubeconfig, ...(await inPod("node-1", ...script))];
    const child = spawn(join(cluster.folder, "bin/kubectl"), words, { stdio: ["ignore", out, "pipe"] });
    let said = "";
    child.stderr?.on("data", (chunk) => {
      said += chunk;
    });
    const code = await new Promise((done) => child.once("close", done));
    fs.closeSync(out);
    expect({ code, said }).toEqual({ code: 0, said: expect.not.stringContaining("expected") });
    const fields = ["-T", "fields", "-e", "ip.src", "-e", "tcp.srcport", "-e", "ip.dst", "-e", "tcp.dstport"];
    const read = execFileSync("tshark", ["-r", file, "-Y", "tcp.len > 0", ...fields], {
      ...{ encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] },
    });
    const sent = read
      .trimEnd()
      .split("\n")
      .map((line) => line.split("\t"));
    const [client, server] = [one.addresses[0] ?? "", two.addresses[0] ?? ""];
    const there = sent.filter(([from, , to, at]) => from === client && to === server && at === `${port}`);
    const back = sent.filter(([from, at, to]) => from === server && at === `${port}` && to === client);
    expect(there.length).toBeGreaterThan(0);
    expect(back.length).toBeGreaterThan(0);
    expect(there.length + back.length).toBe(sent.length);
  });

  test("a node that has lost its power is a row that says so beside the others", async () => {
    expect((await talk.stop()).faults).toEqual([]);
    await cluster.node(2).stop();
    const { code, stdout } = await ask("status");
    expect(code).toBe(1);
    expect(stdout).toMatch(/^workers\/node-1 +\S+ +yes /m);
    expect(stdout).toMatch(/^workers\/node-2 +- .*(dial|connect|timed? ?out|gives no answer)/m);
    await cluster.node(2).start();
    await until("the pod to run again", async () => (await pool.pods()).every(({ isReady }) => isReady));
  });
});
