// SPDX-License-Identifier: Apache-2.0
import * as fs from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { cli, makeFolder, programs } from "./run";

// The stand-in for pulumi prints an output; that for kubectl lists pods, and says to which of them
// it is told to go. test/e2e/kubernetes/cli.test.ts has a cluster.
const pool = { instance: "edge-workers", nodePool: { namespace: "edge-1", daemonSet: "loader-1" } };
const web = { ssh: { host: "web1", port: 22, user: "root" }, stateDir: "/var/lib/socket-bypass", instance: "edge" };
const status = { instance: "edge-workers", serving: "abc", healthy: true, problems: [], generations: [] };
const answering = `for word; do case $word in *"bypass status"*) text=$word ;; esac; done
mark=$(printf '%s' "$text" | sed -n "s/^echo '\\(answer [0-9a-f]*\\)'.*/\\1/p")
echo "$*" | cut -d ' ' -f 1-6 >>"$WENT"; echo "$mark"; echo '${JSON.stringify(status)}'`;

const pod = (name: string, nodeName: string | undefined, more: object = {}, isReady = true) => ({
  metadata: { name, creationTimestamp: "2026-01-01T00:00:00Z", ...more },
  spec: { nodeName },
  status: { containerStatuses: [{ ready: isReady }] },
});

async function ask(words: readonly string[], list: unknown, logins: object = { workers: pool }) {
  const went = join(makeFolder(), "went");
  const kubectl = `case "$*" in *"get pods"*) cat <<'END'\n${JSON.stringify(list)}\nEND\n;; *) ${answering} ;; esac`;
  const ssh = "echo 'it is gone' >&2; exit 255";
  const pulumi = `cat <<'END'\n${JSON.stringify(logins)}\nEND`;
  const PATH = `${programs({ pulumi, kubectl, ssh })}:${process.env.PATH}`;
  const said = await cli([...words, "--stack", "prod"], { PATH, WENT: went });
  const lines = fs.existsSync(went) ? fs.readFileSync(went, "utf8").trimEnd().split("\n").sort() : [];
  return { ...said, went: lines };
}
const rowsOf = (stdout: string) =>
  stdout
    .trimEnd()
    .split("\n")
    .slice(1)
    .map((row) => row.split(/ +/).slice(0, 3));

test("the nodes of a pool stand in the table beside the hosts", async () => {
  const items = [pod("loader-10", "node-10"), pod("loader-2", "node-2")];
  const { code, stdout, went } = await ask(["status"], { items }, { web, workers: pool });
  expect(rowsOf(stdout)).toEqual([
    ["web", "-", "-"],
    ["workers/node-2", "edge-workers", "yes"],
    ["workers/node-10", "edge-workers", "yes"],
  ]);
  expect(code).toBe(1);
  expect(went).toEqual([
    "--namespace=edge-1 exec loader-10 -ic loader --",
    "--namespace=edge-1 exec loader-2 -ic loader --",
  ]);
});

test("--pool, --node and --context choose, and words that fit nothing name what there is", async () => {
  const items = [pod("loader-1", "node-1"), pod("loader-2", "node-2")];
  const other = { ...pool, instance: "edge-batch" };
  const all = { web, workers: pool, batch: other };
  const one = await ask(["status", "--pool", "workers", "--node", "node-2", "--context", "far"], { items }, all);
  expect(rowsOf(one.stdout)).toEqual([["workers/node-2", "edge-workers", "yes"]]);
  expect(one.went).toEqual(["--context=far --namespace=edge-1 exec loader-2 -ic loader"]);
  const asked = async (...words: string[]) => {
    const { code, stderr } = await ask(["status", ...words], { items }, all);
    expect(code).toBe(2);
    return stderr.trimEnd();
  };
  expect(await asked("--pool", "web")).toContain(
    '--pool: expected a node pool of this stack (workers, batch), found "web"',
  );
  expect(await asked("--node", "node-3")).toContain(
    '--node: expected a node with a pod of workers, batch, found "node-3"',
  );
  const without = await ask(["status", "--node", "node-1"], { items }, { web });
  expect(without.stderr).toContain("--node: expected a stack with node pools, found one with hosts alone");
});

test("a node that changes hands is asked through the pod that is ready and stays", async () => {
  const items = [
    pod("old", "node-1", { deletionTimestamp: "2026-01-02T00:00:00Z" }),
    pod("new", "node-1"),
    pod("served", "node-2"),
    pod("starting", "node-2", { creationTimestamp: "2026-01-03T00:00:00Z" }, false),
  ];
  const { went } = await ask(["status"], { items });
  expect(went.map((line) => line.split(" ")[2])).toEqual(["new", "served"]);
});

test.each([
  [
    "no pods",
    { items: [] },
    "expected pods of the DaemonSet loader-1 in edge-1, found none; name the context of the pool's cluster by --context",
  ],
  ["a pod whose name is an option", { items: [pod("--kubeconfig=x", "node-1")] }, "expected a list of pods"],
  ["a node whose name moves the cursor", { items: [pod("a", "\u001b[2J")] }, "expected a list of pods"],
  ["no list", "nothing", "kubectl: expected a list of pods, found something else"],
])("of a cluster that has %s, the pool is one row that says so", async (_, list, message) => {
  const { code, stdout, went } = await ask(["status"], list);
  expect(code).toBe(1);
  expect(stdout).toMatch(/^workers +- .*/m);
  expect(stdout).toContain(message);
  expect(went).toEqual([]);
});

test.each(["advise", "record"])("%s says in one sentence why it leaves pools out", async (verb) => {
  const flags = verb === "record" ? ["-o", join(makeFolder(), "file")] : [];
  const sentence = `${verb} leaves out the node pools workers, because a pod does not see the processes`;
  const alone = await ask([verb, ...flags], {});
  expect(alone).toMatchObject({ code: 1, stdout: "", went: [] });
  expect(alone.stderr).toContain(sentence);
  const both = await ask([verb, ...flags], {}, { web, workers: pool });
  expect(both.stderr).toContain(sentence);
  expect(both.stdout).toContain("web: it is gone");
});

test("a name of a pool that a stack cannot have is refused", async () => {
  const { code, stderr } = await ask(
    ["status"],
    {},
    { workers: { ...pool, nodePool: { namespace: "-n", daemonSet: "a" } } },
  );
  expect(code).toBe(1);
  expect(stderr).toContain("expected the logins of a SocketBypass, found something else at workers.nodePool.namespace");
});
