// SPDX-License-Identifier: Apache-2.0
// Long: a test for each fact that the page names.
import * as fs from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type Answer, Host, isSkipped, run, shellFolder, shells, temporaryFolder } from "../../support/host.js";
import { type Advice, about, advise, find, notes, play, upTo } from "./advice.js";

// Other programs of this machine are advised upon too: the tests look at their own ports. Not
// proven here: other kernels, and the rest of the dangers (test/bpf/dangers.test.ts); that what is
// expected is measured (docs/explanation/benchmarks).
describe.skipIf(isSkipped).each(shells)("advise under %s", (shell) => {
  test("tells requests, streams, relays, quiet services and short connections apart", async () => {
    const host = new Host(shell);
    const ports = await play(host, "traffic");
    const advice = await advise(host);
    expect(advice).toMatchObject({ version: 1, kernel: release(), gainFrom: "table" });
    expect(advice.seconds).toBeGreaterThanOrEqual(2);
    expect(advice.sockets).toBeGreaterThan(10);

    const back = find(advice, ports.back);
    expect(back).toMatchObject({
      ...{ program: "backend", clients: ["relay"], connections: 1, onHost: 1, shortConnections: 0, kind: "request" },
      ...{
        perSecond: { inbound: upTo(200), outbound: upTo(200) },
        bytesPerMessage: { inbound: about(50), outbound: about(100) },
      },
      ...{ bytesPerSecond: { inbound: upTo(10_000), outbound: upTo(20_000) }, advice: "include" },
      dangers: [{ kind: "relay", program: "relay" }],
    });
    expect(back.gain?.low).toBeGreaterThan(1);
    expect(back.perSecond.inbound / back.perSecond.outbound).toEqual(about(1));
    expect(back.bytesPerSecond.inbound / back.perSecond.inbound).toEqual(about(50));
    expect(back.bytesPerSecond.outbound / back.perSecond.outbound).toEqual(about(100));
    expect(find(advice, ports.relay)).toMatchObject({ program: "relay", clients: ["frontend"], advice: "include" });
    expect(find(advice, ports.stream)).toMatchObject({
      ...{ program: "sink", clients: ["iperf"], kind: "stream", dangers: [] },
      ...{ perSecond: { outbound: 0 }, bytesPerSecond: { inbound: upTo(65_536_000), outbound: 0 } },
    });
    expect(find(advice, ports.large)).toMatchObject({
      ...{
        program: "large",
        kind: "request",
        bytesPerMessage: { inbound: about(50), outbound: about(512 << 10) },
        advice: "leave",
      },
      reason: expect.stringContaining("as large as these"),
    });
    expect(find(advice, ports.quiet)).toMatchObject({ kind: "idle", advice: "watch", gain: null });
    const short = find(advice, ports.short);
    expect(short).toMatchObject({ kind: "request", advice: "leave", reason: expect.stringContaining("too short") });
    expect(short.shortConnections).toBeGreaterThanOrEqual(16);
    // What came by short connections counts too.
    expect(short.perSecond).toEqual({ inbound: upTo(300), outbound: upTo(300) });

    const listed = [ports.back, ports.relay, ports.stream];
    expect(
      Object.values(ports)
        .filter((port) => advice.traffic.ports.includes(port))
        .sort(),
    ).toEqual(listed.sort());
  });

  test("names each option that keeps connections on TCP", async () => {
    const host = new Host(shell);
    const { plain, ...others } = await play(host, "options");
    const advice = await advise(host);
    expect(find(advice, plain)).toMatchObject({ dangers: [], advice: "include" });
    for (const [kind, port] of Object.entries(others)) {
      expect(find(advice, port)).toMatchObject({ advice: "leave", gain: null });
      expect(find(advice, port).dangers.map((danger) => danger.kind)).toContain(kind);
      expect(advice.traffic.ports).not.toContain(port);
    }
  });

  test.each(["dnat", "snat"])("finds both ends of a connection to the address of a service, by %s", async (nat) => {
    const host = new Host(shell);
    const { port } = await play(host, "cluster", nat);
    const advice = await advise(host);
    expect(advice.namespaces).toBeGreaterThan(3);
    expect(find(advice, port)).toMatchObject({
      ...{ program: "backend", clients: ["frontend"], connections: 1, onHost: 1, kind: "request", advice: "include" },
      ...{
        perSecond: { inbound: upTo(200), outbound: upTo(200) },
        bytesPerMessage: { inbound: about(50), outbound: about(100) },
      },
    });
  });

  test("leaves a service alone whose clients are on other hosts, and says what a container does not show", async () => {
    const host = new Host(shell);
    const words = ["advise", "--json", "--seconds", "2", "--state-dir", host.stateDir];
    const sh = [
      "env",
      ...Object.entries(host.env).map(([key, value]) => `${key}=${value}`),
      join(shellFolder(shell), "sh"),
    ];
    const played = await play<Answer & { port: number }>(
      ...([host, "elsewhere", ...sh, join(host.bundle, "socket-bypass"), ...words] as const),
    );
    expect(played).toMatchObject({ code: 0, stderr: notes });
    const advice: Advice = JSON.parse(played.stdout);
    expect(find(advice, played.port)).toMatchObject({
      ...{
        program: "backend",
        clients: [],
        connections: 1,
        onHost: 0,
        perSecond: { inbound: 0, outbound: 0 },
        gain: null,
      },
      ...{ advice: "leave", reason: "all its clients are on other hosts, or their ends were not found" },
    });
    expect(advice.traffic.ports).not.toContain(played.port);
    expect(advice.unseen).toContain("outside its own pid namespace");
    expect(advice.unseen).toContain("whether sockets that nobody has open are the kernel's own");
  });

  test("counts what takes the bypass already as such", async () => {
    const host = new Host(shell);
    await host.apply();
    const { back, ...ports } = await play(host, "traffic");
    const advice = await advise(host, "--state-dir", host.stateDir, "--instance", host.instance);
    expect(find(advice, back)).toMatchObject({ advice: "include", reason: expect.stringContaining("already") });
    expect(find(advice, ports.short).reason).not.toContain("already");
  });

  test("shows names that would end a line, a string or a terminal's patience as they may be shown", async () => {
    const host = new Host(shell);
    const { port } = await play(host, "names");
    expect(find(await advise(host), port)).toMatchObject({ program: 'a"b\\?[2J?', clients: ['{"}???'] });
    const { stdout } = await host.raw("advise", "--seconds", "1");
    expect(stdout).toContain(` a"b\\?[2J?  `);
    expect(stdout).toMatch(/^[\n -~]*$/);
  });

  test("names the program that accepts where several hold a listener", async () => {
    const host = new Host(shell);
    const { busy, fresh } = await play(host, "held");
    const advice = await advise(host);
    // `find` fails if some of its connections are told as those of another program.
    expect(find(advice, busy)).toMatchObject({ program: "backend", connections: 2, onHost: 2 });
    expect(find(advice, fresh)).toMatchObject({ program: "activated", connections: 2, onHost: 2 });
  });

  test("tells programs apart that listen on one port at several addresses", async () => {
    const host = new Host(shell);
    const { both, one } = await play(host, "addresses");
    const { services } = await advise(host);
    // They are in a network namespace of their own, and another one may use these ports too.
    const ours = ["anywhere", "exact", "gone", "other"];
    const on = (port: number | undefined) =>
      services
        .filter((service) => service.port === port && ours.includes(service.program))
        .map(({ program, connections, onHost }) => ({ program, connections, onHost }))
        .sort((a, b) => (a.program < b.program ? -1 : 1));
    const alone = { connections: 1, onHost: 1 };
    expect(on(both)).toEqual([
      { program: "anywhere", ...alone },
      { program: "exact", ...alone },
    ]);
    expect(on(one)).toEqual([
      { program: "gone", ...alone },
      { program: "other", ...alone },
    ]);
  });

  test("goes on while processes and namespaces come and go", async () => {
    const host = new Host(shell);
    await play(host, "vanish");
    for (let i = 0; i < 3; i++) expect((await advise(host)).version).toBe(1);
  });

  test("prints a table, the reasons, and the block to paste", async () => {
    const host = new Host(shell);
    const { plain, lowat } = await play(host, "options");
    const { code, stdout, stderr } = await host.raw("advise", "--seconds", "2");
    expect({ code, stderr }).toEqual({ code: 0, stderr: notes });
    const lines = stdout.trimEnd().split("\n");
    expect(lines[0]).toMatch(
      /^ *PORT +PROGRAM +CLIENTS +CONNS +HERE +IN\/S +BYTES +OUT\/S +BYTES +KIND +GAIN +ADVICE$/,
    );
    expect(stdout).toMatch(
      new RegExp(
        `^ *${plain} +backend +frontend +1 +1 +\\d+ +\\d\\d +\\d+ +\\d+ +request +1\\.03-1\\.54 +include$`,
        "m",
      ),
    );
    expect(stdout).toContain(
      `\n${lowat} backend: leave: frontend: it has set SO_RCVLOWAT, so its connections stay on TCP\n`,
    );
    expect(lines.at(-1)).toMatch(new RegExp(`^traffic: \\{ ports: \\[.*\\b${plain}\\b.*\\] \\}$`));
  });

  test("takes the gain from this host's own bench, and refuses a file that is none", async () => {
    const host = new Host(shell);
    const { plain } = await play(host, "options");
    const file = join(temporaryFolder(), "bench.json");
    const rows = [
      ["rr", 64, 1, "plain", 1],
      ["rr", 64, 1, "bypass", 1.9],
      ["rr", 64, 2, "bypass", 1.2],
      ["rr", 16384, 1, "bypass", 1.456],
      ["stream", 65536, 2, "unix", 9],
    ].map(([mode, size, cpus, way, ratio]) => ({ mode, size, cpus, way, rps: 1, mbps: 1, p50us: null, ratio }));
    for (const space of [0, 2]) {
      fs.writeFileSync(file, JSON.stringify(rows, null, space));
      const advice = await advise(host, "--bench", file);
      expect(advice.gainFrom).toBe("bench");
      // Its messages lie between 64 bytes and 1 KiB, of which the bench knows the smaller.
      expect(find(advice, plain).gain).toEqual({ low: 1.03, high: 1.9 });
    }
    const refusal = (what: string) => expect.stringContaining(`socket-bypass: --bench: expected ${what}\n`);
    const otherSizes = JSON.stringify(rows.map((row) => ({ ...row, size: 100 })));
    const injected = JSON.stringify(rows).replaceAll("rr", "rr;reboot");
    for (const text of ["", "[]", "nonsense", injected, '{"way":"bypass"}']) {
      fs.writeFileSync(file, text);
      expect(await host.raw("advise", "--seconds", "1", "--bench", file)).toMatchObject({
        ...{ code: 1, stdout: "" },
        stderr: refusal(`what 'socket-bypass bench --json' printed, found something else in ${file}`),
      });
    }
    fs.writeFileSync(file, otherSizes);
    expect(await host.raw("advise", "--bench", file)).toMatchObject({
      ...{ code: 1, stdout: "" },
      stderr: refusal(
        `figures of a size that advise compares with (64, 1024, 16384, 65536 or 262144), found none in ${file}`,
      ),
    });
    expect(await host.raw("advise", "--bench", "/nowhere")).toMatchObject({
      ...{ code: 1, stdout: "" },
      stderr: refusal("a file with what 'socket-bypass bench --json' printed, found no file /nowhere"),
    });
  });
});

describe.skipIf(isSkipped)("advise with 900 network namespaces", () => {
  test("looks into each of them, although it may open fewer files than that at first", async () => {
    const host = new Host();
    const { port } = await play(host, "spaces", "900");
    const line = 'ulimit -S -n 256 && exec "$0" "$@"';
    const sh = join(shellFolder("dash"), "sh");
    const words = [join(host.bundle, "socket-bypass"), "advise", "--json", "--seconds", "2"];
    const { code, stdout, stderr } = await run(sh, ["-c", line, sh, ...words], host.env);
    expect({ code, stderr }).toEqual({ code: 0, stderr: notes });
    const advice: Advice = JSON.parse(stdout);
    expect(advice.namespaces).toBeGreaterThanOrEqual(900);
    expect(advice.unseen ?? "").not.toMatch(/network namespaces|did not tell of all that ended/);
    // It is in the last one.
    expect(find(advice, port)).toMatchObject({ program: "backend", onHost: 1, advice: "include" });
  });
});
