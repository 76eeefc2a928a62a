// SPDX-License-Identifier: Apache-2.0
import { spawn, spawnSync } from "node:child_process";
import { test as always, expect } from "vitest";
import { generations, isSkipped, machine, Node, until } from "./pod.js";

/*
 * The loader in namespaces, with the capabilities and the root folder that a kubelet would give it. What a real kubelet makes of it is in
 * test/kubernetes. Not proven here: seccomp, and cgroup2 mounted with nsdelegate.
 */
const test = always.skipIf(isSkipped);
const [first, second] = generations;

test("a new pod takes over from the old one, which then leaves everything alone", async () => {
  const node = new Node();
  const old = node.start("uid-1", first);
  await old.ready();
  expect([node.record("owner"), node.record("serving")]).toEqual([old.owner, first]);
  expect(old.ask("/healthz")).toBe(`200 ok: generation ${first} is attached to /sys/fs/cgroup`);
  const next = node.start("uid-2", second);
  await next.ready();
  expect([node.record("owner"), node.record("serving")]).toEqual([next.owner, second]);
  for (const path of ["/readyz", "/healthz"]) expect(old.ask(path)).toBe(`200 ok: ${next.owner} has taken over`);
  const attached = node.attached();
  expect(attached).toHaveLength(1);
  expect(old.stop(first)).toMatchObject({ code: 0, stdout: "removed: left alone\n" });
  old.signal("SIGTERM");
  expect(await old.ended).toBe(0);
  expect(node.attached()).toEqual(attached);
  expect(next.stop(second)).toMatchObject({ code: 0, stdout: "removed: done\n" });
  expect(next.message).toBe("removed: done\n");
  expect(node.traces()).toEqual([]);
  expect(next.ask("/healthz")).toMatch(/^503 .*: expected what this pod installed, found nothing$/);
});

test("a pod whose self-test fails says why, takes down what it made, and leaves the old one serving", async () => {
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
  expect(old.ask("/readyz")).toBe(`200 ok: generation ${first} is attached to /sys/fs/cgroup`);
  expect(old.stop(first)).toMatchObject({ code: 0, stdout: "removed: done\n" });
  expect(node.traces()).toEqual([]);
});

test("a first pod whose self-test fails leaves nothing", async () => {
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
  for (const path of ["/readyz", "/healthz"])
    expect(pod.ask(path)).toMatch(/^200 not supported: kernel \S+: expected the fix of everything/);
  expect(pod.ask("/metrics")).toMatch(/^socket_bypass_supported 0$/m);
  expect(pod.message).toMatch(/^not supported: kernel /);
  expect(node.traces()).toEqual([]);
  pod.signal("SIGTERM");
  expect(await pod.ended).toBe(0);
});

test("without bpffs a pod says what to do", async () => {
  const pod = new Node(false).start("uid-1", first);
  expect(await pod.ended).toBe(1);
  expect(pod.message).toBe(
    "bpffs: expected one on the node, found none; mount it there (systemd does), or say mountBpffs: true\n",
  );
});

test("SIGTERM in the middle of the start undoes it", async () => {
  const node = new Node();
  const pod = node.start("uid-1", first);
  await until("the self-test to run", () => node.traces().some((trace) => trace.includes("selftest/verdict")));
  pod.signal("SIGTERM");
  expect(await pod.ended).toBe(0);
  expect(node.traces()).toEqual([]);
});

test("what a killed pod has left serves, and belongs to the next pod", async () => {
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
  // By SIGTERM alone, as when a runtime stops it without the kubelet.
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
  for (const path of ["/readyz", "/healthz"])
    expect(pod.ask(path)).toBe(`503 /sys/fs/cgroup: expected program ${id} to be attached, found it is not`);
});

test("the server answers while others keep their connections open, and refuses what it does not know", async () => {
  const pod = new Node().start("uid-1", first);
  await pod.ready();
  const connect =
    "import socket, time; k = [socket.create_connection(('127.0.0.1', 8080)) for _ in range(100)]; print(len(k), flush=True); time.sleep(30)";
  const crowd = spawn("nsenter", ["-t", `${pod.init}`, "-n", "python3", "-c", connect], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    await new Promise((done) => crowd.stdout.once("data", done));
    expect(pod.ask("/readyz")).toMatch(/^200 ok/);
    expect(pod.ask("/metrics")).toMatch(/^200 .*# EOF$/s);
  } finally {
    crowd.kill("SIGKILL");
  }
  expect(pod.ask("/other")).toBe("404 expected /healthz, /readyz or /metrics");
  expect(pod.ask("/readyz", "-X", "POST")).toBe("405 expected GET");
  expect(pod.ask("/readyz", "-H", `X: ${"x".repeat(5000)}`)).toMatch(/^(200 ok|000)/);
  expect(pod.ask("/readyz")).toMatch(/^200 ok/);
});

test("what stands before bpftool prints maps and cgroups as bpftool does where it may", async () => {
  const node = new Node();
  const pod = node.start("uid-1", first);
  await pod.ready();
  // With all rights bpftool adds what it knows of the types.
  const bare = (text: string) => JSON.parse(text, (key, value) => (key === "formatted" ? undefined : value));
  const [inside, outside] = [`/bpffs/socket-bypass/pool/${first}/`, `${node.pins}/${first}/`];
  const ours = (...words: string[]) => pod.exec(first, "/state/bin/bpftool", "-j", ...words).stdout;
  const theirs = (...words: string[]) => spawnSync("bpftool", ["-j", ...words], { encoding: "utf8" }).stdout;
  for (const map of ["maps/knobs", "maps/counters", "maps/policies", "sockets"]) {
    const found = bare(ours("map", "dump", "pinned", inside + map));
    expect(found).toEqual(bare(theirs("map", "dump", "pinned", outside + map)));
    expect(Array.isArray(found)).toBe(true);
  }
  const key = ["key", "hex", "01", "00", "00", "00"];
  expect(bare(ours("map", "lookup", "pinned", `${inside}maps/policies`, ...key))).toEqual(
    bare(theirs("map", "lookup", "pinned", `${outside}maps/policies`, ...key)),
  );
  const [tree] = JSON.parse(ours("cgroup", "tree", "/sys/fs/cgroup"));
  expect(tree).toMatchObject({
    cgroup: "/sys/fs/cgroup",
    programs: [{ id: node.attached()[0], attach_flags: "multi" }],
  });
  expect(ours("map", "dump", "pinned", "/bpffs/none")).toBe('{"error":"/bpffs/none: No such file or directory"}\n');
  expect(pod.exec(first, "/bin/sh", "/opt/socket-bypass/pod.sh", "status").stdout).not.toMatch(/^problem/m);
  expect(pod.exec(first, "/bin/sh", "-c", `echo probe-${machine}; ls /state/files`).stdout).toContain("socket-bypass");
});
