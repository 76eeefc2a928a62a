// SPDX-License-Identifier: Apache-2.0
/*
 * What `advise` says where programs, counts, namespaces or its own means are out of the ordinary.
 * Not proven here: sockets of a routing domain (VRF), and those that a program of sk_lookup steers.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { copyOf, faultyBpftool, Host, isSkipped, replaceProbe, run, shellFolder } from "../../support/host.js";
import { type Advice, about, advise, find, notes, play, upTo } from "./advice.js";

/** The helper says this of FIONREAD of a socket that is enrolled and has got bytes by TCP. */
function answerUnread(host: Host, word: string): void {
  host.bundle = copyOf(host.bundle);
  replaceProbe(host.bundle, `[ "$1" != unread ] || { ${word}; exit; }`);
}

/** Other programs on these ports are of other namespaces, in which other tests run. */
function linesOf({ services }: Advice, port: number | undefined, ...programs: string[]) {
  return services
    .filter((service) => service.port === port && programs.includes(service.program))
    .map(({ program, connections, onHost, dangers }) => [program, connections, onHost, dangers.map(({ kind }) => kind)])
    .sort();
}

describe.skipIf(isSkipped)("advise", () => {
  test.each([
    ["exact", "echo exact", "include", []],
    ["zero", "echo zero", "leave", ["deferred"]],
    ["not known", "echo 'probe: unread: sockmap: EPERM' >&2; exit 1", "leave", ["deferred"]],
  ])("tells what becomes of a listener that defers, where FIONREAD is %s", async (_, word, told, kinds) => {
    const host = new Host();
    answerUnread(host, word);
    const { port } = await play(host, "deferring");
    const found = find(await advise(host), port);
    expect(found).toMatchObject({ program: "backend", kind: "request", advice: told });
    expect(found.dangers.map(({ kind }) => kind)).toEqual(kinds);
  });

  test("tells programs apart that listen at any address on one port, by the family of the connection", async () => {
    const host = new Host();
    answerUnread(host, "echo zero");
    const { split, both } = await play(host, "families");
    const told = await advise(host);
    expect(linesOf(told, split, "four", "six")).toEqual([
      ["four", 2, 2, []],
      ["six", 2, 2, ["deferred"]],
    ]);
    expect(linesOf(told, both, "narrow", "wide")).toEqual([
      ["narrow", 2, 2, []],
      ["wide", 2, 2, []],
    ]);
  });

  test("tells programs apart that listen at any address on one port, by the interface", async () => {
    const host = new Host();
    const { port } = await play(host, "devices");
    expect(linesOf(await advise(host), port, "inner", "outer")).toEqual([
      ["inner", 2, 2, []],
      ["outer", 2, 2, []],
    ]);
  });

  test("tells programs apart that serve one port in several network namespaces, and sums up those of one name", async () => {
    const host = new Host();
    const { port } = await play(host, "twins");
    const programs = ["first", "second", "alike", "?", "frontend", "briefly"];
    const told = (await advise(host)).services.filter((one) => one.port === port && programs.includes(one.program));
    expect(told.map(({ program }) => program)).toEqual(["alike", "first", "second"]);
    for (const { program, connections, onHost, shortConnections, clients } of told) {
      const namespaces = program === "alike" ? 2 : 1;
      expect(clients).toContain("frontend");
      expect(shortConnections).toBeGreaterThan(10 * namespaces);
      expect(connections - 2 * namespaces).toBeOneOf([0, 1, 2]);
      // Of one that begins in a look, one end may be seen.
      expect(connections - onHost).toBeLessThanOrEqual(1);
    }
  });

  test("counts a message once whose segment is sent again, or arrives twice", async () => {
    const host = new Host();
    const { port } = await play(host, "lossy");
    const found = find(await advise(host, "--seconds", "4"), port);
    expect(found).toMatchObject({ clients: ["frontend"], connections: 1, onHost: 1, kind: "request" });
    expect(found.bytesPerMessage).toEqual({ inbound: about(50), outbound: about(100) });
  });

  test("counts afresh what a socket moves that was connected again with its old addresses", async () => {
    const host = new Host();
    const { port } = await play(host, "renewed");
    const told = advise(host, "--seconds", "4");
    await new Promise((wake) => setTimeout(wake, 2500));
    host.children.at(-1)?.stdin?.write("\n");
    const { services } = await told;
    const found = services.find((service) => service.port === port && service.program === "frontend");
    expect(found).toMatchObject({ clients: ["backend"], connections: 1, onHost: 1, kind: "request" });
    expect(found?.perSecond).toEqual({ inbound: upTo(200), outbound: upTo(200) });
    expect(found?.bytesPerSecond).toEqual({ inbound: upTo(20_000), outbound: upTo(10_000) });
  });

  test("knows a program whose first thread has ended", async () => {
    const host = new Host();
    const { port } = await play(host, "leaderless");
    const { services } = await advise(host);
    expect(services.filter((one) => one.port === port && one.program === "headless")).toMatchObject([
      { clients: ["headless"], connections: 1, onHost: 1, dangers: [], advice: "include" },
    ]);
  });

  // How much work that is: test/host/helper/advise-lists.test.ts.
  test("pairs the short connections of a client that always uses the same port", async () => {
    const host = new Host();
    const { port } = await play(host, "again", "1000000");
    host.children.at(-1)?.stdin?.write("\n");
    const { services } = await advise(host, "--seconds", "8");
    const found = services.find((one) => one.port === port && one.program === "backend");
    expect(found?.shortConnections).toBeGreaterThan(100);
  });

  test("looks at ten thousand connections, and asks a listener for its options that comes behind all of them", async () => {
    const host = new Host();
    answerUnread(host, "echo zero");
    const { port } = await play(host, "crowd", "10000");
    const behind = await play(host, "deferring");
    const told = await advise(host);
    expect(find(told, port)).toMatchObject({ connections: 10_000, onHost: 10_000 });
    expect(told.unseen).toMatch(/sockets that could not be asked for their options: \d+/);
    expect(find(told, behind.port).dangers.map(({ kind }) => kind)).toEqual(["deferred"]);
  });

  test("names what harms although 16 weaker dangers were seen before, and says that names are left out", async () => {
    const host = new Host();
    const { port } = await play(host, "named", "20");
    const told = await advise(host);
    const { clients, dangers, ...found } = find(told, port);
    expect(found).toMatchObject({ program: "backend", connections: 21, onHost: 21, advice: "danger" });
    expect(found.reason).toMatch(/^sing-box: it splices/);
    expect(clients).toHaveLength(16);
    expect(dangers.map(({ kind }) => kind).sort()).toEqual([...Array(15).fill("lowat"), "splice"]);
    expect(dangers.find(({ kind }) => kind === "splice")).toMatchObject({ program: "sing-box" });
    expect(told.unseen).toMatch(/services of which not all clients and dangers are named: [1-9]/);
  });

  test("says that the kernel's own sockets are not told where not all processes may be looked at", async () => {
    const host = new Host();
    const rights = ["--bounding-set", "-sys_ptrace", "--inh-caps", "-sys_ptrace"];
    const words = [...rights, join(shellFolder("dash"), "sh"), join(host.bundle, "socket-bypass"), "advise"];
    const { code, stdout, stderr } = await run("setpriv", [...words, "--json", "--seconds", "1"], host.env);
    expect({ code, stderr }).toEqual({ code: 0, stderr: notes });
    const { unseen } = JSON.parse(stdout) as Advice;
    expect(unseen).toMatch(/processes that may not be looked at: \d+/);
    expect(unseen).toContain("whether sockets that nobody has open are the kernel's own");
  });

  test("loads nothing but the program of flows, for each generation that is installed, and removes it", async () => {
    const host = new Host();
    const calls = faultyBpftool(host, 0, "fail");
    // Other tests may have instances here, which it lists too.
    const loads = () =>
      readFileSync(calls, "utf8")
        .split("\n")
        .filter((call) => /prog load(all)? /.test(call));
    await advise(host, "--state-dir", host.stateDir);
    expect(loads().filter((call) => call.includes(host.instance))).toEqual([]);
    await host.apply();
    writeFileSync(calls, "");
    const before = readdirSync(join(host.pins, host.generation));
    await advise(host, "--state-dir", host.stateDir);
    expect(loads().filter((call) => call.includes(host.instance))).toEqual([
      expect.stringMatching(`/flows\\.bpf\\.o ${host.pins}/${host.generation}/flows-\\d+ type classifier `),
    ]);
    expect(loads().filter((call) => !call.includes("/flows.bpf.o "))).toEqual([]);
    expect(readdirSync(join(host.pins, host.generation))).toEqual(before);
  });

  test("lists every port of a thousand services in the line to paste", async () => {
    const host = new Host();
    await play(host, "many", "960");
    const { code, stdout, stderr } = await host.raw("advise", "--seconds", "2");
    expect({ code, stderr }).toEqual({ code: 0, stderr: notes });
    const line = stdout.trimEnd().split("\n").at(-1) ?? "";
    expect(line).toMatch(/^traffic: \{ ports: \[\d+(, \d+)*\] \}$/);
    expect(line.match(/\d+/g)?.length).toBeGreaterThanOrEqual(960);
  });

  const withFiles = async (host: Host, files: number, seconds: number) => {
    const sh = join(shellFolder("dash"), "sh");
    const words = [join(host.bundle, "socket-bypass"), "advise", "--json", "--seconds", `${seconds}`];
    const line = `ulimit -n ${files} && exec "$@"`;
    const { code, stdout, stderr } = await run(sh, ["-c", line, sh, sh, ...words], host.env);
    expect({ code, stderr }).toEqual({ code: 0, stderr: notes });
    return JSON.parse(stdout) as Advice;
  };

  test("looks into every network namespace with few files, and says that it has not heard of all that ended", async () => {
    const host = new Host();
    const { port } = await play(host, "spaces", "60");
    const advice = await withFiles(host, 32, 2);
    expect(advice.namespaces).toBeGreaterThanOrEqual(60);
    expect(advice.unseen).toContain("did not tell of all that ended");
    expect(advice.unseen).not.toMatch(/namespaces/);
    // It is in the last one.
    expect(find(advice, port)).toMatchObject({ program: "backend", onHost: 1, advice: "include" });
  });

  test("counts nothing as missed in a network namespace that has taken the place of another one", async () => {
    const host = new Host();
    await play(host, "replaced");
    const advice = await withFiles(host, 16, 3);
    expect(advice.unseen).toContain("did not tell of all that ended");
    expect(Number(/without a trace: (\d+)/.exec(advice.unseen ?? "")?.[1] ?? 0)).toBeLessThan(1_000_000);
  });
});
