// SPDX-License-Identifier: Apache-2.0
// Long: each way in which counters by range of ports can come about.
/*
 * Counters by range of the policy, of real traffic. Not proven here: the ranges of messages of a
 * connection whose two ends see different ports (DNAT), and the pods of a node pool, whose helper
 * cannot look into other network namespaces (test/e2e/kubernetes).
 */
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, expect, test, vi } from "vitest";
import { copyOf, Host, isSkipped, root, run, type Status, shellFolder, shells } from "../../support/host.js";

type Ports = Status["generations"][number]["ports"];
type Sample = [name: string, labels: Record<string, string>, value: number];

/** A program in the cgroup of the host that plays traffic; see ports.py. */
class Traffic {
  private readonly child;
  private readonly lines;

  constructor(host: Host) {
    this.child = host.start("python3", "-u", join(__dirname, "ports.py"));
    if (!this.child.stdout) throw new Error("expected a pipe");
    this.lines = createInterface({ input: this.child.stdout })[Symbol.asyncIterator]();
  }

  async ask(...words: (string | number)[]): Promise<number[]> {
    this.child.stdin?.write(`${words.join(" ")}\n`);
    return JSON.parse((await this.lines.next()).value);
  }
}

const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);

/** Waits until every connection has ended and is counted. */
async function settled(host: Host): Promise<Status["generations"][number]> {
  return await vi.waitFor(
    async () => {
      const generation = (await host.status()).generations[0];
      expect(generation?.sockets).toBe(0);
      return generation as Status["generations"][number];
    },
    { timeout: 10_000, interval: 100 },
  );
}

/** What one socket sends is counted once, in the totals, in one range and for one reason. */
function expectSums({ counters, ports, notRedirected }: Status["generations"][number]): void {
  expect(counters.tcp_messages).toBe(sum(Object.values(notRedirected)));
  expect({
    redirected_messages: sum(ports.map(({ messages }) => messages.bypass)),
    redirected_bytes: sum(ports.map(({ bytes }) => bytes.bypass)),
    tcp_messages: sum(ports.map(({ messages }) => messages.tcp)),
  }).toEqual({
    redirected_messages: counters.redirected_messages,
    redirected_bytes: counters.redirected_bytes,
    tcp_messages: counters.tcp_messages,
  });
}

const row = (ports: string, messages: number, bytes: number): Ports[number] => ({
  ports,
  enrolled: 0,
  messages: { bypass: messages, tcp: 0 },
  bytes: { bypass: bytes, tcp: 0 },
});

async function samples(host: Host, family: string): Promise<Sample[]> {
  const { stdout } = await host.raw("metrics", ...host.common.slice(0, 4));
  const read = execFileSync("/usr/bin/python3", [join(__dirname, "metrics.py"), "openmetrics"], {
    ...{ input: stdout, encoding: "utf8" },
  });
  const found: Sample[] = JSON.parse(read).samples;
  return found.filter(([name]) => name === `socket_bypass_${family}`);
}

describe.skipIf(isSkipped).each(shells)("counters by port under %s", (shell) => {
  test("have every message and byte once: of two ports, and of a range by bypass and by TCP", async () => {
    const host = new Host(shell);
    const traffic = new Traffic(host);
    const [a = 0, b = 0, c = 0] = (await traffic.ask("listen", 3)).sort((one, other) => one - other);
    // No other port of these may lie in the range.
    const range = `${c}-${c + 1}`;
    const policy = ["--ports", `${a},${b}-${b},${range}`, "--queue-bytes", "65536"];
    expect(await host.verb("apply", "--off", ...policy)).toMatchObject({ code: 0 });
    expect((await host.status()).generations[0]?.ports).toEqual([
      row(`${a}`, 0, 0),
      row(`${b}`, 0, 0),
      row(range, 0, 0),
    ]);
    await traffic.ask("talk", a, 100, 50);
    await traffic.ask("talk", b, 10, 3000);
    await traffic.ask("talk", b, 1, 1);
    await traffic.ask("flood", c, 256, 8192);
    const generation = await settled(host);
    expectSums(generation);
    const [ofA, ofB, ofC] = generation.ports;
    expect([ofA, ofB]).toEqual([row(`${a}`, 200, 10_000), row(`${b}`, 22, 60_002)]);
    expect(ofC?.ports).toBe(range);
    expect(ofC?.messages.tcp).toBeGreaterThan(0);
    expect(ofC?.messages.bypass).toBeGreaterThan(0);
    expect(sum(Object.values(ofC?.messages ?? {}))).toBe(256);
    expect(sum(Object.values(ofC?.bytes ?? {}))).toBe(256 * 8192);
    const { "reader-behind": behind = 0, "tcp-unread": unread = 0 } = generation.notRedirected;
    expect([behind > 0, behind + unread > 0]).toEqual([true, true]);

    const of = { instance: host.instance, generation: host.generation };
    expect(await samples(host, "port_bytes_total")).toEqual(
      generation.ports.flatMap(({ ports, bytes }) => [
        ["socket_bypass_port_bytes_total", { ...of, ports, path: "bypass" }, bytes.bypass],
        ["socket_bypass_port_bytes_total", { ...of, ports, path: "tcp" }, bytes.tcp],
      ]),
    );
    expect(await samples(host, "port_messages_total")).toEqual(
      generation.ports.flatMap(({ ports, messages }) => [
        ["socket_bypass_port_messages_total", { ...of, ports, path: "bypass" }, messages.bypass],
        ["socket_bypass_port_messages_total", { ...of, ports, path: "tcp" }, messages.tcp],
      ]),
    );
    expect(await samples(host, "not_redirected_total")).toEqual(
      Object.entries(generation.notRedirected).map(([reason, count]) => [
        "socket_bypass_not_redirected_total",
        { ...of, reason },
        count,
      ]),
    );
  });

  test("stay when a policy loses the range, and those of a new range begin at 0", async () => {
    const host = new Host(shell);
    const traffic = new Traffic(host);
    const [a = 0, b = 0] = (await traffic.ask("listen", 2)).sort((one, other) => one - other);
    await host.verb("apply", "--off", "--ports", `${a}`);
    await traffic.ask("talk", a, 3, 10);
    expect((await settled(host)).ports).toEqual([row(`${a}`, 6, 60)]);
    await host.verb("policy set", "--ports", `${b}`);
    expect((await settled(host)).ports).toEqual([row(`${a}`, 6, 60), row(`${b}`, 0, 0)]);
    await traffic.ask("talk", a, 3, 10);
    await traffic.ask("talk", b, 1, 7);
    const generation = await settled(host);
    expect(generation.ports).toEqual([row(`${a}`, 6, 60), row(`${b}`, 2, 14)]);
    expectSums(generation);
  });

  test("are those of `any` where the policy has no ports, and nothing is by program or client", async () => {
    const host = new Host(shell);
    const traffic = new Traffic(host);
    const [a = 0, b = 0] = await traffic.ask("listen", 2);
    await host.apply();
    await traffic.ask("talk", a, 3, 10);
    await host.verb("policy set", "--cidrs", "127.0.0.0/8");
    await traffic.ask("talk", b, 4, 10);
    const generation = await settled(host);
    expect(generation.ports).toEqual([row("any", 14, 140)]);
    expectSums(generation);
  });

  test("are those of `other` once there are more ranges than there is room for", async () => {
    const host = new Host(shell);
    const traffic = new Traffic(host);
    await host.verb("apply", "--off", "--ports", "1");
    let left = 127; // one place is for `other`
    for (let policies = 0; policies < 3; policies++) {
      const made = await traffic.ask("listen", 64);
      expect(await host.verb("policy set", "--ports", made.join())).toMatchObject({ code: 0 });
      for (const port of made) await traffic.ask("talk", port, 1, 5);
      const generation = await settled(host);
      expectSums(generation);
      const named = generation.ports.filter(({ ports, messages }) => ports !== "other" && messages.bypass > 0);
      expect(named).toHaveLength(Math.min(127, 64 * (policies + 1)));
      left -= 64;
      const other = generation.ports.filter(({ ports }) => ports === "other");
      expect(other).toEqual(left < 0 ? [row("other", -2 * left, -10 * left)] : []);
    }
  });

  test("are not there for a generation of an earlier version, which is healthy all the same", async () => {
    const host = new Host(shell);
    host.bundle = copyOf(host.bundle);
    for (const object of ["track.bpf.o", "redirect.bpf.o"]) {
      const file = join(host.bundle, object);
      // The end of a name may be another one's too.
      const text = fs.readFileSync(file, "latin1");
      const renamed = text.replaceAll(/\b(?:port_counters|tcp_reasons|taps)(?=\0)/g, (name) => `X${name.slice(1)}`);
      fs.writeFileSync(file, renamed, "latin1");
    }
    expect(await host.apply()).toMatchObject({ code: 0, stderr: "" });
    const status = await host.status();
    expect(status).toMatchObject({ healthy: true, problems: [] });
    expect(status.generations[0]).toMatchObject({ ports: [], notRedirected: {} });
    expect(await samples(host, "port_messages_total")).toEqual([]);
    expect(await samples(host, "pairs_total")).toHaveLength(1);
    const tap = await host.raw("tap", ...host.common.slice(0, 4), "--port", "1", "-w", "-");
    expect(tap).toMatchObject({ code: 1, stderr: expect.stringContaining("of an earlier version; install this ") });
  });

  test("do not call a connection enrolled that a drain has taken out, although its ends are silent since", async () => {
    const host = new Host(shell);
    const traffic = new Traffic(host);
    const [port = 0] = await traffic.ask("listen", 1);
    expect(await host.verb("apply", "--off", "--ports", `${port}`)).toMatchObject({ code: 0 });
    for (let i = 0; i < 3; i++) await traffic.ask("open", port);
    const enrolled = async () => (await host.status()).generations[0]?.ports.map((one) => one.enrolled);
    expect(await enrolled()).toEqual([3]);
    expect(await host.verb("drain")).toMatchObject({ code: 0 });
    expect(await host.verb("resume")).toMatchObject({ code: 0 });
    expect(await enrolled()).toEqual([0]);
    await traffic.ask("open", port);
    expect(await enrolled()).toEqual([1]);
  });

  test.each([
    ["dnat", 1],
    // Such a connection is never enrolled either.
    ["snat", 0],
  ])("count an established connection to the address of a service, by %s: %i", async (nat, connections) => {
    const host = new Host(shell);
    const path = join(root, "test/bpf/cases");
    const scene = [join(__dirname, "advise.py"), "cluster", nat];
    const child = host.start("env", `PYTHONPATH=${path}`, "python3", "-B", ...scene);
    const lines = createInterface({ input: child.stdout ?? process.stdin })[Symbol.asyncIterator]();
    const { port }: { port: number } = JSON.parse((await lines.next()).value);
    // The client calls port 80 of the service; the server has another one.
    expect(await host.verb("apply", "--off", "--ports", `80,${port}`)).toMatchObject({ code: 0 });
    expect((await host.status()).established).toEqual([
      { ports: "80", connections: 0 },
      { ports: `${port}`, connections },
    ]);
  });

  test("have the established ones with the rights of the service for node-exporter, and leave them out with less", async () => {
    const host = new Host(shell);
    const traffic = new Traffic(host);
    const [port = 0] = await traffic.ask("listen", 1);
    await traffic.ask("open", port);
    expect(await host.verb("apply", "--off", "--ports", `${port}`)).toMatchObject({ code: 0 });
    const page = fs.readFileSync(join(root, "docs/how-to/node-exporter.md"), "utf8");
    const named = /^CapabilityBoundingSet=(.*)$/m.exec(page)?.[1]?.toLowerCase().split(" ") ?? [];
    expect(named).toContain("cap_sys_ptrace");
    const script = [join(shellFolder(shell), "sh"), join(host.bundle, "socket-bypass")];
    const established = async (...names: string[]) => {
      const set = ["-all", ...names.map((name) => name.replace("cap_", "+"))].join();
      const words = ["--bounding-set", set, "--inh-caps", set, "--no-new-privs", ...script];
      const answer = await run("setpriv", [...words, "metrics", ...host.common.slice(0, 4)], host.env);
      expect(answer).toMatchObject({ code: 0, stderr: "" });
      return answer.stdout.match(/(?<=^socket_bypass_established_connections\{.*\} )\d+$/gm);
    };
    expect(await established(...named)).toEqual(["1"]);
    expect(await established(...named.filter((name) => name !== "cap_sys_ptrace"))).toBeNull();
  });

  test("tell how many connections are enrolled, of all that are established on this host", async () => {
    const host = new Host(shell);
    const [traffic, stranger] = [new Traffic(host), new Traffic(host)];
    const [a = 0, b = 0] = (await traffic.ask("listen", 2)).sort((one, other) => one - other);
    await traffic.ask("open", a);
    await host.verb("apply", "--off", "--ports", `${a},${b},${a}`);
    await traffic.ask("open", a);
    await traffic.ask("open", a);
    // Neither is its port listed, nor does its client's port make it so.
    const [outside = 0] = await stranger.ask("listen", 1);
    await stranger.ask("open", outside);
    const status = await host.status();
    expect(status.established).toEqual([
      { ports: `${a}`, connections: 3 },
      { ports: `${b}`, connections: 0 },
    ]);
    expect(status.generations[0]?.ports).toMatchObject([
      { ports: `${a}`, enrolled: 2 },
      { ports: `${b}`, enrolled: 0 },
    ]);
    const { instance, generation } = host;
    expect(await samples(host, "established_connections")).toEqual([
      ["socket_bypass_established_connections", { instance, ports: `${a}` }, 3],
      ["socket_bypass_established_connections", { instance, ports: `${b}` }, 0],
    ]);
    expect(await samples(host, "enrolled_connections")).toEqual([
      ["socket_bypass_enrolled_connections", { instance, generation, ports: `${a}` }, 2],
      ["socket_bypass_enrolled_connections", { instance, generation, ports: `${b}` }, 0],
    ]);
    await traffic.ask("close");
    await settled(host);
    expect((await host.status()).established.map(({ connections }) => connections)).toEqual([0, 0]);
    expect((await host.status()).generations[0]?.ports.map(({ enrolled }) => enrolled)).toEqual([0, 0]);
  });
});
