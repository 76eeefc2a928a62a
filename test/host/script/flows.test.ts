// SPDX-License-Identifier: Apache-2.0
// Long: each thing that a list of connections can meet.
import { readdirSync, renameSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, expect, test } from "vitest";
import { Host, isSkipped, replaceProbe, shells, temporaryFolder } from "../../support/host.js";
import { literal } from "../../support/literal.js";

interface End {
  readonly port: number;
  readonly processes: { pid: number; command: string }[];
  readonly unread: number;
  readonly unreadByTcp: number;
  readonly bytesByTcp: number;
}
interface Flow {
  readonly instance: string;
  readonly generation: string;
  readonly client: End | null;
  readonly server: End | null;
}

// Not proven here: the reasons reader-asleep, next-message, small-messages and much-by-tcp, which
// pass too soon or need 64 MiB; other kernels.
describe.skipIf(isSkipped).each(shells)("flows under %s", (shell) => {
  test("shows the ends, processes, state, counts and reason of each connection, as JSON and as a table", async () => {
    const host = new Host(shell);
    await host.apply("--queue-bytes", "100000");
    const { ask, pid, child, ports } = await converse(host);
    const python = { pid, command: 'a "b\\c?' };
    const flows = await list(host);
    const flow = (name: string) => flows.find(({ client }) => client?.port === ports[name]?.[0]);
    expect(flows).toHaveLength(7);
    for (const { instance, generation } of flows) {
      expect([instance, generation]).toEqual([host.instance, host.generation]);
    }

    const [clientPort = 0, port = 0] = ports.used ?? [];
    const usual = { sent: 4, unread: 0, unreadByTcp: 0, bytesByTcp: 0, why: null, state: "bypass", messages: 4 };
    const used = {
      client: {
        ...{
          address: "127.0.0.1",
          port: clientPort,
          remoteAddress: "127.0.0.1",
          remotePort: port,
          bytes: 400,
          ...usual,
        },
        processes: [python, { ...python, pid: child }].sort((a, b) => a.pid - b.pid),
      },
      server: {
        ...{ address: "127.0.0.1", port, remoteAddress: "127.0.0.1", remotePort: clientPort, bytes: 200, ...usual },
        processes: [python],
      },
    };
    expect(flow("used")).toEqual({ instance: host.instance, generation: host.generation, ...used });
    expect(flow("six")).toMatchObject({
      client: { address: "::1", remoteAddress: "::1", messages: 5, bytes: 700 },
      server: { address: "::1", remoteAddress: "::1", unread: 300 },
    });
    expect(flow("mapped")).toMatchObject({
      client: { address: "127.0.0.1", remoteAddress: "127.0.0.1" },
      server: { address: "::ffff:127.0.0.1", remoteAddress: "::ffff:127.0.0.1" },
    });
    expect(flow("fresh")).toMatchObject({
      client: { state: "wait", sent: 0, why: "peer-unknown" },
      server: { state: "spill", sent: 0, why: "nothing-sent" },
    });
    expect(flow("full")).toMatchObject({ client: { state: "spill", why: "tcp-unread" } });
    expect(flow("full")?.client?.unreadByTcp).toBeGreaterThan(0);
    expect(flow("full")?.client?.bytesByTcp).toBeGreaterThan(0);
    // A second message would be more than --queue-bytes.
    expect(flow("full")?.server?.unread).toBe(65536);
    // Nobody has accepted this connection, so no process has its server's end open.
    expect(flow("waiting")).toMatchObject({ client: { processes: [python] }, server: { processes: [] } });
    expect(flow("left")).toMatchObject({ client: { why: "peer-gone" }, server: null });

    const table = (await host.raw("flows", ...host.common.slice(0, 4))).stdout;
    expect(table.split("\n")[0]).toMatch(/^FROM +TO +STATE +MESSAGES +BYTES +UNREAD +WHY NOT$/);
    const [first] = used.client.processes;
    const [there, back] = [`127.0.0.1:${clientPort} a "b\\c?/${first?.pid}+1`, `127.0.0.1:${port} a "b\\c?/${pid}`];
    const row = new RegExp(`^${literal(there)} +${literal(back)} +bypass +4 +400 +0  -$`, "m");
    const reply = new RegExp(`^${literal(back)} +${literal(there)} +bypass +4 +200 +0  -$`, "m");
    expect(table).toMatch(row);
    expect(table).toMatch(reply);
    expect(table).toMatch(
      new RegExp(`^\\[::1\\]:${ports.six?.[0]} .* \\[::1\\]:${port === 0 ? "" : ports.six?.[1]} .* 300  -$`, "m"),
    );
    expect(table.trim().split("\n")).toHaveLength(1 + 13);

    await host.raw("drain", ...host.common.slice(0, 4), "--drain-seconds", "0");
    // The drain took idle connections out; those with unread bytes are still there.
    const after = await list(host);
    expect(
      after.map(({ server, client }) => (server ?? client)?.unread ?? 0).filter((unread) => unread > 0),
    ).toHaveLength(2);
    await ask("send");
    expect((await list(host)).some(({ client }) => client?.port === clientPort)).toBe(false);
  });

  test("lists each of many connections once, of one instance or of all", async () => {
    const [host, other] = [new Host(shell), new Host(shell)];
    await host.apply();
    await host.apply("--instance", other.instance, "--cgroup", other.cgroup);
    const ports = await connect(host, 600);
    const { stdout } = await host.raw("flows", "--json", "--state-dir", host.stateDir);
    const found = (JSON.parse(stdout) as Flow[]).filter(({ instance }) => instance === host.instance);
    expect(found.map(({ client }) => client?.port).sort()).toEqual(ports.sort());
    expect(found.filter(({ server }) => server === null)).toEqual([]);
    const none = await host.raw("flows", "--instance", other.instance, "--state-dir", host.stateDir);
    expect(none).toMatchObject({ code: 0, stdout: "no connection is enrolled\n", stderr: "" });
    const json = await host.raw("flows", "--json", "--instance", other.instance, "--state-dir", host.stateDir);
    expect(JSON.parse(json.stdout)).toEqual([]);
    await host.raw("remove", "--instance", other.instance, "--state-dir", host.stateDir);
  });

  test("lists every connection that stays while others come and go", async () => {
    const host = new Host(shell);
    await host.apply();
    host.start("python3", "-c", storm);
    const ports = await connect(host, 300);
    const met = new Set<number | undefined>();
    for (let i = 0; i < 5; i++) {
      const found = (await list(host)).map(({ client }) => client?.port);
      expect(found).toEqual(expect.arrayContaining(ports));
      for (const port of found) met.add(port);
    }
    // Each list really held other short-lived connections.
    expect(met.size).toBeGreaterThan(ports.length + 2 * 200);
  });

  test("lets no path of an open file forge the owner of a connection, and escapes names of processes", async () => {
    const host = new Host(shell);
    await host.apply();
    const child = host.start("python3", "-c", forger, temporaryFolder());
    const lines = createInterface({ input: child.stdout ?? process.stdin })[Symbol.asyncIterator]();
    const port = Number((await lines.next()).value);
    const flow = (await list(host)).find(({ client }) => client?.port === port);
    const processes = [{ pid: child.pid, command: "a?b?[2J??" }];
    expect([flow?.client?.processes, flow?.server?.processes]).toEqual([processes, processes]);
    const table = (await host.raw("flows", ...host.common.slice(0, 4))).stdout;
    expect(table).toContain(`127.0.0.1:${port} a?b?[2J??/${child.pid} `);
    expect(table).toMatch(/^[ -~\n]*$/);
  });

  test("ignores what a later version adds behind its fields, and says so", async () => {
    const host = new Host(shell);
    await host.apply();
    const ports = await connect(host, 3);
    const before = await list(host);
    const its = join(host.home, host.generation);
    replaceProbe(its, `[ "$1" != list ] || { ${join(its, "real-probe")} "$@" | sed 's/$/ 42 new:field/'; exit; }`);
    const { code, stdout, stderr } = await host.raw("flows", "--json", ...host.common.slice(0, 4));
    expect({ code, flows: JSON.parse(stdout) }).toEqual({ code: 0, flows: before });
    expect(before.map(({ client }) => client?.port).sort()).toEqual(ports.sort());
    expect(stderr).toBe(
      `socket-bypass: note: instance ${host.instance}: generation ${host.generation} is of a later version and has 2 values of each socket that are not shown; its own script shows them: sh ${host.home}/socket-bypass flows\n`,
    );
    const { stdout: top } = await host.raw("top", "--json", "--count", "1", ...host.common.slice(0, 4));
    expect(JSON.parse(top)).toMatchObject({ connections: 3 });
  });

  test("removes what a look that was killed has left, and leaves what one at work has", async () => {
    const host = new Host(shell);
    await host.apply();
    await connect(host, 1);
    const pins = join(host.pins, host.generation);
    const left = () => readdirSync(pins).filter((name) => name.startsWith("flows-"));
    const its = join(host.home, host.generation);
    replaceProbe(its, `[ "$1" != list ] || kill -9 0`);
    for (let i = 0; i < 2; i++)
      expect(await host.raw("flows", ...host.common.slice(0, 4))).toMatchObject({ signal: "SIGKILL" });
    const [old = "", young = "", ...more] = left();
    expect([young, more]).toEqual([expect.stringMatching(/^flows-\d+$/), []]);
    const before = new Date(Date.now() - 3_600_000);
    utimesSync(join(pins, old), before, before);
    renameSync(join(its, "real-probe"), join(its, "probe-x86_64"));
    expect(await list(host)).toHaveLength(1);
    expect(left()).toEqual([young]);
  });

  test("fails for an unknown instance, and leaves no program pinned", async () => {
    const host = new Host(shell);
    await host.apply();
    expect(await host.raw("flows", "--instance", "nobody", "--state-dir", host.stateDir)).toMatchObject({
      code: 1,
      stdout: "",
      stderr: expect.stringContaining("instance nobody: expected it in "),
    });
    await list(host);
    expect(readdirSync(join(host.pins, host.generation)).filter((name) => name.startsWith("flows"))).toEqual([]);
  });
});

const many = `
import json, socket, sys
listener = socket.create_server(("127.0.0.1", 0), backlog=1000)
pairs = []
for _ in range(int(sys.argv[1])):
    client = socket.create_connection(listener.getsockname())
    pairs.append((client, listener.accept()[0]))
print(json.dumps([client.getsockname()[1] for client, _ in pairs]), flush=True)
sys.stdin.read()
`;

/**
 * A process whose name holds terminal control characters, with two open files whose paths look like
 * lines that list its sockets for process 1.
 */
const forger = `
import os, socket, sys
with open("/proc/self/comm", "wb") as comm:
    comm.write(b"a\\nb\\x1b[2J\\xc2\\x9b")
listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
server = listener.accept()[0]
client.send(b"x")
server.recv(1)
os.mkdir(sys.argv[1] + "/x\\n1")
files = [open(f"{sys.argv[1]}/x\\n1/fd:\\nl socket:[{os.fstat(end.fileno()).st_ino}]", "w") for end in (client, server)]
print(client.getsockname()[1], flush=True)
sys.stdin.read()
`;

/**
 * Opens and closes connections, two hundred at a time. Each carries enough messages that the
 * service does not count as one of short connections.
 */
const storm = `
import random, socket
listener = socket.create_server(("127.0.0.1", 0), backlog=1000)
pairs = []
while True:
    client = socket.create_connection(listener.getsockname())
    server = listener.accept()[0]
    for _ in range(4):
        client.send(b"x")
        server.recv(1)
    pairs.append((client, server))
    if len(pairs) > 200:
        for end in pairs.pop(random.randrange(len(pairs))):
            end.close()
`;

/** Opens this many connections that stay, and gives the ports of their clients. */
async function connect(host: Host, count: number): Promise<number[]> {
  const child = host.start("python3", "-c", many, `${count}`);
  const lines = createInterface({ input: child.stdout ?? process.stdin })[Symbol.asyncIterator]();
  return JSON.parse((await lines.next()).value ?? "");
}

async function list(host: Host): Promise<Flow[]> {
  const { code, stdout, stderr } = await host.raw("flows", "--json", ...host.common.slice(0, 4));
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return JSON.parse(stdout);
}

async function converse(host: Host) {
  const { stdin, stdout } = host.start("python3", join(__dirname, "flows.py"));
  const lines = createInterface({ input: stdout ?? process.stdin })[Symbol.asyncIterator]();
  const answer = async () => (await lines.next()).value ?? "";
  const first: { pid: number; child: number; ports: Record<string, number[]> } = JSON.parse(await answer());
  const ask = async (word: string) => {
    stdin?.write(`${word}\n`);
    return await answer();
  };
  return { ask, ...first };
}
