// SPDX-License-Identifier: Apache-2.0
// Long: what one pod does, from its start to its end.
import { spawn, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { afterEach, test as always, expect } from "vitest";
import { endNodes, fieldOf, generations, isSkipped, machine, Node, ticksOf, until } from "./pod.js";

/*
 * Runs the loader in namespaces, with the capabilities and the root folder that a kubelet would
 * give it; test/e2e/kubernetes has a real kubelet. Not proven here: seccomp, and cgroup2 mounted
 * with nsdelegate.
 */
const test = always.skipIf(isSkipped);
const [first, second] = generations;
afterEach(endNodes);

test("a new pod takes over from the old one, which then leaves everything alone", async () => {
  const node = new Node();
  const old = node.start("uid-1", first);
  await old.ready();
  expect([node.record("owner"), node.record("serving")]).toEqual([old.owner, first]);
  expect(old.health()).toBe(`0 ok: generation ${first} is attached to /sys/fs/cgroup`);
  const next = node.start("uid-2", second);
  await next.ready();
  expect([node.record("owner"), node.record("serving")]).toEqual([next.owner, second]);
  expect(old.health()).toBe(`0 ok: ${next.owner} has taken over`);
  const attached = node.attached();
  expect(attached).toHaveLength(1);
  expect(old.stop(first)).toMatchObject({ code: 0, stdout: "removed: left alone\n" });
  old.signal("SIGTERM");
  expect(await old.ended).toBe(0);
  expect(node.attached()).toEqual(attached);
  expect(next.stop(second)).toMatchObject({ code: 0, stdout: "removed: done\n" });
  expect(next.message).toBe("removed: done\n");
  expect(node.traces()).toEqual([]);
  expect(next.health()).toMatch(/^1 .*: expected what this pod installed, found nothing$/);
});

test("a pod whose self-test fails says why, removes what it made, and leaves the old one serving", async () => {
  const node = new Node();
  const old = node.start("uid-1", first);
  await old.ready();
  const before = [node.traces(), node.attached()];
  node.breakSelfTest();
  const next = node.start("uid-2", second);
  expect(await next.ended).toBe(1);
  const reason = "selftest: expected every case to pass, found ipv4 failed (exit 1)";
  expect(next.said).toContain(reason);
  expect(next.message).toContain(reason);
  expect([node.traces(), node.attached()]).toEqual(before);
  expect([node.record("owner"), node.record("serving")]).toEqual([old.owner, first]);
  expect(old.health()).toBe(`0 ok: generation ${first} is attached to /sys/fs/cgroup`);
  expect(old.stop(first)).toMatchObject({ code: 0, stdout: "removed: done\n" });
  expect(node.traces()).toEqual([]);
});

test("a first pod whose self-test fails leaves nothing behind", async () => {
  const node = new Node();
  node.breakSelfTest();
  const pod = node.start("uid-1", first);
  expect(await pod.ended).toBe(1);
  expect(node.traces()).toEqual([]);
});

test("on a kernel of the deny-list a pod is ready, says that it is not supported, and touches nothing", async () => {
  const node = new Node();
  const row = "1.0 | 99.0 | refuse | - | the fix of everything | a test";
  node.change("socket-bypass", (script) => script.replace(/^5\.6 \|.*$/m, row));
  const pod = node.start("uid-1", first);
  await pod.ready();
  expect(pod.health()).toMatch(/^0 not supported: kernel \S+: expected the fix of everything/);
  expect(pod.ask("/metrics")).toMatch(/^socket_bypass_supported 0$/m);
  expect(pod.message).toMatch(/^not supported: kernel /);
  expect(node.traces()).toEqual([]);
  pod.signal("SIGTERM");
  expect(await pod.ended).toBe(0);
});

test("a pod on a node without bpffs says what to do", async () => {
  const pod = new Node(false).start("uid-1", first);
  expect(await pod.ended).toBe(1);
  expect(pod.message).toBe(
    "bpffs: expected one on the node, found none; mount it there (systemd does), or say mountBpffs: true\n",
  );
});

test("a pod whose folder is mounted noexec says so", async () => {
  const node = new Node();
  node.stateOptions = "noexec";
  const pod = node.start("uid-1", first);
  expect(await pod.ended).toBe(1);
  expect(pod.message).toBe(
    `/state/files/probe-${machine}: expected a program that can run, found: Permission denied; leave /state in memory, because a disk may be ` +
      "mounted noexec (a transform must not take the medium of the volume 'state')\n",
  );
  expect(node.traces()).toEqual([]);
});

test("SIGTERM in the middle of the start makes a pod undo it", async () => {
  const node = new Node();
  const pod = node.start("uid-1", first);
  await until("the self-test to run", () => node.traces().some((trace) => trace.includes("selftest/verdict")));
  pod.signal("SIGTERM");
  expect(await pod.ended).toBe(0);
  expect(node.traces()).toEqual([]);
});

test("what a killed pod leaves goes on serving, and the next pod takes it over", async () => {
  const node = new Node();
  const old = node.start("uid-1", first);
  await old.ready();
  const attached = node.attached();
  await old.kill();
  expect(node.attached()).toEqual(attached);
  const next = node.start("uid-2", first);
  await next.ready();
  expect(node.attached()).toEqual(attached);
  expect(node.record("owner")).toBe(next.owner);
  // SIGTERM alone stops it, as when a runtime stops it without the kubelet.
  next.signal("SIGTERM");
  expect(await next.ended).toBe(0);
  expect(node.traces()).toEqual([]);
});

test("a pod is not ready when its program is not attached, and says so", async () => {
  const node = new Node();
  const pod = node.start("uid-1", first);
  await pod.ready();
  const [id] = node.attached();
  spawnSync("bpftool", ["cgroup", "detach", node.group, "sock_ops", "pinned", `${node.pins}/${first}/track`]);
  expect(pod.health()).toBe(`1 /sys/fs/cgroup: expected program ${id} to be attached, found it is not`);
});

test("a pod is not ready before its start has ended", async () => {
  const node = new Node();
  const pod = node.start("uid-1", first);
  await until("the self-test to run", () => node.traces().some((trace) => trace.includes("selftest/verdict")));
  expect(pod.health()).toBe("1 expected this pod to serve, found that its start has not ended");
  await pod.ready();
});

test("the server shows strangers the counters, but neither kernel nor owner nor health", async () => {
  const pod = new Node().start("uid-1", first);
  await pod.ready();
  const metrics = pod.ask("/metrics");
  expect(metrics).toMatch(/^200 # TYPE socket_bypass info$.*^socket_bypass_healthy\{instance="pool"\} 1$.*^# EOF$/ms);
  expect(metrics).not.toMatch(/kernel=|machine=|project/);
  expect(metrics).toMatch(/^socket_bypass_port_messages_total\{[^}]*,ports="[^"]+",path="bypass"\} \d+$/m);
  expect(metrics).toMatch(/^socket_bypass_not_redirected_total\{[^}]*,reason="first-message"\} \d+$/m);
  // A pod does not see the other network namespaces of its node.
  expect(metrics).not.toMatch(/^socket_bypass_established_connections\{/m);
  for (const path of ["/readyz", "/healthz", "/", "/metric", "/metricsx"])
    expect([path, pod.ask(path)]).toEqual([path, "404 expected /metrics"]);
  expect(pod.ask("/metrics?a=b")).toMatch(/^200 /);
  expect(pod.ask("/metrics", "-X", "POST")).toBe("405 expected GET");
  // A command by exec shows everything.
  expect(pod.exec(first, "sh", "/opt/socket-bypass/pod.sh", "metrics").stdout).toMatch(/kernel="[^"]+"/);
});

test("the server has no capability and few system calls, and is started again when it ends", async () => {
  const pod = new Node().start("uid-1", first);
  await pod.ready();
  await until("the server to run", () => pod.front() !== 0);
  const front = pod.front();
  expect(["CapEff", "CapPrm"].map((name) => [name, fieldOf(front, name)])).toEqual([
    ["CapEff", "0000000000000000"],
    ["CapPrm", "0000000000000000"],
  ]);
  expect(["NoNewPrivs", "Seccomp"].map((name) => fieldOf(front, name))).toEqual(["1", "2"]);
  process.kill(front, "SIGKILL");
  await until("another server to run", () => ![0, front].includes(pod.front()));
  expect(pod.ask("/metrics")).toMatch(/^200 /);
  expect(pod.said).toContain("probe: serve: expected the server of metrics to run, found it ended by signal 9\n");
  expect(pod.health()).toMatch(/^0 ok/);
});

test("the server makes one report at a time, and none while the last one is fresh, however many clients ask", async () => {
  const node = new Node();
  node.beforeReports("echo >>/state/reports");
  const pod = node.start("uid-1", first);
  await pod.ready();
  await until("the server to run", () => pod.front() !== 0);
  const processes = [pod.init, pod.front()];
  const ticks = () => processes.map(ticksOf).reduce((sum, one) => sum + one, 0);
  const [ticksBefore, began] = [ticks(), Date.now()];
  // Three clients ask as fast as they can, one keeps many connections open, one sends a byte at a
  // time, and one never reads.
  const script = join(__dirname, "strangers.py");
  const strangers = spawn("nsenter", ["-t", `${pod.init}`, "-n", "python3", script, "12"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let answer = "";
  strangers.stdout.on("data", (chunk) => (answer += chunk));
  const ended = new Promise((done) => strangers.once("close", done));
  try {
    await until("strangers to be answered", () => answer.startsWith("answered\n"));
    // The kubelet does not use the port.
    expect(pod.health()).toMatch(/^0 ok/);
    await ended;
  } finally {
    strangers.kill("SIGKILL");
  }
  const seconds = (Date.now() - began) / 1000;
  const { whole, broken } = JSON.parse(answer.split("\n")[1] ?? "");
  const reports = fs.readFileSync(join(node.folder, "uid-1/reports"), "utf8").length;
  const used = ticks() - ticksBefore;
  console.info(`${whole} answers of ${reports} reports in ${seconds.toFixed(1)} s for ${used} CPU ticks`);
  expect(broken).toBe(0);
  expect(whole).toBeGreaterThan(0);
  expect(reports).toBeGreaterThan(0);
  expect(reports).toBeLessThanOrEqual(1 + Math.floor(seconds / 10));
  // The server accepts this many connections at once, and then ten a second.
  expect(whole).toBeLessThanOrEqual(20 + 10 * (seconds + 1));
  expect(pod.front()).toBe(processes[1]);
});

test("a report that takes too long is ended with all that it has started, and reported as failed", async () => {
  const node = new Node();
  node.beforeReports("sleep 1000 | sleep 1000");
  const pod = node.start("uid-1", first);
  await pod.ready();
  const sleepers = () => [...pod.processes().values()].filter((name) => name === "sleep");
  const asked = spawn("nsenter", ["-t", `${pod.init}`, "-n", "curl", "-s", "http://127.0.0.1:8080/metrics"]);
  let answer = "";
  asked.stdout.on("data", (chunk) => (answer += chunk));
  await until("the report to be stuck", () => sleepers().length === 2);
  await until("the report to be told as failed", () => answer !== "");
  expect(answer).toBe("the report failed; the log of this pod says why\n");
  await until("its processes to be gone", () => sleepers().length === 0);
  expect(pod.health()).toMatch(/^0 ok/);
});

test("the probe reads maps as bpftool does with all rights, and lists what is attached", async () => {
  const node = new Node();
  const pod = node.start("uid-1", first);
  await pod.ready();
  const [inside, outside] = [`/bpffs/socket-bypass/pool/${first}/`, `${node.pins}/${first}/`];
  const ours = (...words: string[]) => pod.exec(first, `/state/files/probe-${machine}`, ...words);
  const theirs = (map: string): { key: string[]; value: string[] }[] =>
    JSON.parse(spawnSync("bpftool", ["-j", "map", "dump", "pinned", outside + map], { encoding: "utf8" }).stdout);
  const bytes = (words: readonly string[]) => words.map((word) => word.slice(2));
  for (const map of ["maps/knobs", "maps/counters", "maps/policies", "sockets"]) {
    const keys = theirs(map).map(({ key }) => `${bytes(key).join("")}\n`);
    expect([map, ours("map", "keys", inside + map)]).toEqual([map, { code: 0, stdout: keys.join(""), stderr: "" }]);
    expect([map, ours("map", "count", inside + map).stdout]).toEqual([map, `${keys.length}\n`]);
  }
  const number = (words: readonly string[]) => BigInt(`0x${bytes(words).reverse().join("")}`);
  const knobs = theirs("maps/knobs").map(({ key, value }) => `${bytes(key).join("")} ${number(value)}\n`);
  expect(ours("map", "numbers", `${inside}maps/knobs`).stdout).toBe(knobs.join(""));
  const policies = theirs("maps/policies").map(({ value }) => `${bytes(value).join(" ")}\n`);
  expect([0, 1].map((key) => ours("map", "bytes", `${inside}maps/policies`, `${key}`).stdout)).toEqual(policies);
  expect(ours("map", "numbers", `${inside}maps/counters`, "0").stdout).toMatch(/^00000000 \d+\n$/);
  expect(ours("map", "keys", "/bpffs/none")).toEqual({
    ...{ code: 1, stdout: "", stderr: "probe: map: /bpffs/none: ENOENT\n" },
  });
  expect(ours("hooks", "/sys/fs/cgroup").stdout).toBe(`${node.attached()[0]} multi /sys/fs/cgroup\n`);
  expect(pod.exec(first, "/bin/sh", "/opt/socket-bypass/pod.sh", "status").stdout).not.toMatch(/^problem/m);
});
