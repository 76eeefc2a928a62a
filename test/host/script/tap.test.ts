// SPDX-License-Identifier: Apache-2.0
// Long: one verb with all that may be asked of a capture.
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, describe, expect, test, vi } from "vitest";
import { Host, isSkipped as isHostSkipped, shellFolder, temporaryFolder } from "../../support/host.js";
import { freePort } from "../../support/port.js";

const postgresFolder = "/usr/lib/postgresql";
const postgres = fs.existsSync(postgresFolder)
  ? join(
      postgresFolder,
      fs
        .readdirSync(postgresFolder)
        .sort((a, b) => Number(a) - Number(b))
        .at(-1) ?? "",
      "bin",
    )
  : undefined;
const tools = ["tshark", "redis-server", "redis-cli"];
const lacking = tools.find((tool) => spawnSync("which", [tool]).status !== 0) ?? (postgres ? undefined : "postgresql");
const isSkipped = isHostSkipped || (lacking !== undefined && !process.env.CI);
if (lacking !== undefined) console.warn(`tap.test.ts: expected ${lacking}, found none`);

const TAP = 6;
const bytes = fs.readFileSync;

// test/bpf/tap.test.ts has translated addresses, and runs on other kernels;
// test/e2e/kubernetes/cli.test.ts has a pod.
describe.skipIf(isSkipped)("tap", () => {
  test("writes a conversation with Redis that tshark reads", async () => {
    const host = await serve();
    const port = await freePort();
    host.start("redis-server", "--port", `${port}`, "--bind", "127.0.0.1", "--save", "");
    const ask = (...words: string[]) =>
      vi.waitFor(() => answerOf(host.start("redis-cli", "-p", `${port}`, ...words)), { timeout: 10_000 });
    await vi.waitFor(async () => expect(await ask("PING")).toBe("PONG\n"), { timeout: 10_000 });
    const tap = await Tap.start(host, port);
    expect(await ask("SET", "colour", "green")).toBe("OK\n");
    expect(await ask("GET", "colour")).toBe("green\n");
    const file = await tap.stop();
    const said = read(
      file,
      "-d",
      `tcp.port==${port},resp`,
      "-Y",
      "resp",
      "-T",
      "fields",
      "-e",
      "resp.bulk_string.value",
    );
    const words = said
      .join(",")
      .split(",")
      .filter((word) => word !== "")
      .map((word) => Buffer.from(word, "hex").toString() || word);
    expect(words.join(" ")).toMatch(/SET colour green.*GET colour green/);
  });

  test("writes a conversation with PostgreSQL that tshark reads", async () => {
    const host = await serve();
    const port = await startPostgres(host);
    const psql = (...words: string[]) =>
      answerOf(host.start("psql", "-h", "127.0.0.1", "-p", `${port}`, "-U", "postgres", "-XqAt", ...words));
    await vi.waitFor(async () => expect(await psql("-c", "SELECT 1")).toBe("1\n"), { timeout: 20_000, interval: 200 });
    const tap = await Tap.start(host, port);
    const queries = Array.from({ length: 10 }, (_, i) => `SELECT ${i} * ${i}`);
    expect(await psql(...queries.flatMap((query) => ["-c", query]))).toBe(queries.map((_, i) => `${i * i}\n`).join(""));
    const file = await tap.stop();
    const decode = ["-d", `tcp.port==${port},pgsql`, "-Y", "pgsql", "-T", "fields"];
    const asked = read(file, ...decode, "-e", "pgsql.query").filter((query) => query !== "");
    expect(asked).toEqual(queries);
    const values = read(file, ...decode, "-e", "pgsql.val.data").filter((value) => value !== "");
    expect(values.map((value) => Buffer.from(value, "hex").toString())).toEqual(queries.map((_, i) => `${i * i}`));
  });

  test.each([
    ["127.0.0.1", "ip.src == 127.0.0.1"],
    ["::1", "ipv6.src == ::1"],
    ["mapped", "ip.src == 127.0.0.1"],
  ])("has every byte of both directions of a connection to %s, in packets without a fault", async (address, filter) => {
    const host = await serve();
    const program = await Program.start(host, address);
    const tap = await Tap.start(host, program.port);
    const sent = join(temporaryFolder(), "sent");
    const sizes = [1, 100, 3000, 20_000, 70_000, 300_000, 1_500_000, 5, 160, 161, 8096, 8097, 32_768, 32_769];
    const clientPort = await program.ask("talk", sent, ...sizes.map(String));
    const file = await tap.stop();
    expect(tap.said).toMatch(/ 0 messages missing /);

    const [client, server] = follow(file, clientPort);
    expect(client?.equals(bytes(`${sent}.client`))).toBe(true);
    expect(server?.equals(bytes(`${sent}.server`))).toBe(true);
    const checked = ["-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE"];
    const bad = "tcp.analysis.flags || tcp.checksum.status == Bad || ip.checksum.status == Bad || _ws.malformed";
    expect(read(file, ...checked, "-Y", bad)).toEqual([]);
    expect(read(file, "-Y", filter).length).toBe(read(file).length);
    const handshake = read(file, "-T", "fields", "-e", "tcp.flags.str", "-e", "frame.comment").slice(0, 3);
    expect(handshake.map((line) => line.replace(/·/g, ""))).toEqual(
      ["S", "AS", "A"].map((flags) => `${flags}\tmade up: the handshake before the first message`),
    );
    const inbound = read(file, "-Y", `frame.packet_flags_direction == 1 && tcp.dstport != ${program.port}`);
    expect(inbound).toEqual([]);
  });

  test("shows how each message of a conversation went, over TCP in between", async () => {
    const host = await serve("--queue-bytes", "100000");
    const program = await Program.start(host, "127.0.0.1");
    const tap = await Tap.start(host, program.port);
    const sent = join(temporaryFolder(), "sent");
    const clientPort = await program.ask("pile", sent);
    const file = await tap.stop();
    expect(follow(file, clientPort)[0]?.equals(bytes(`${sent}.client`))).toBe(true);
    expect(read(file, "-Y", "tcp.analysis.flags")).toEqual([]);
    const filter = `tcp.len > 0 && tcp.srcport == ${clientPort}`;
    const ways = read(file, "-T", "fields", "-e", "frame.comment", "-Y", filter);
    const changes = ways.filter((way, i) => way !== ways[i - 1]);
    expect(changes.join(" ")).toMatch(/bypass tcp bypass$/);
    const [generation] = (await host.status()).generations;
    expect(generation?.counters).toMatchObject({ tap_lost: 0 });
  });

  test("keeps --snaplen bytes of each message, and tells how long it was", async () => {
    const host = await serve();
    const program = await Program.start(host, "127.0.0.1");
    const sent = join(temporaryFolder(), "sent");
    for (const snaplen of [0, 10]) {
      const tap = await Tap.start(host, program.port, "--snaplen", `${snaplen}`);
      await program.ask("talk", sent, "100", "200000", "5", "1000");
      const file = await tap.stop();
      const data = read(
        file,
        "-Y",
        "tcp.len > 0",
        "-T",
        "fields",
        "-e",
        "tcp.srcport",
        "-e",
        "frame.len",
        "-e",
        "frame.cap_len",
      );
      const kept: Record<string, [number, number]> = { there: [0, 0], back: [0, 0] };
      for (const line of data) {
        const [from, whole, captured] = line.split("\t").map(Number);
        const way = kept[from === program.port ? "back" : "there"];
        if (way === undefined) continue;
        way[0] += Number(whole) - 40;
        way[1] += Number(captured) - 40;
      }
      expect([kept.there?.[0], kept.back?.[0]]).toEqual([201_105, 201_105]);
      expect(kept.there?.[1]).toBeGreaterThanOrEqual(snaplen * 3 + Math.min(snaplen, 5));
      expect(kept.there?.[1]).toBeLessThanOrEqual(snaplen * 12);
      expect(read(file, "-Y", "tcp.analysis.flags")).toEqual([]);
      expect(bytes(file).includes(bytes(`${sent}.client`).subarray(0, 11))).toBe(false);
    }
  });

  test("counts what it misses when messages come faster than --max-rate", async () => {
    const host = await serve();
    const program = await Program.start(host, "127.0.0.1");
    const tap = await Tap.start(host, program.port, "--max-rate", "65536");
    const count = Number(await program.ask("flood", "3"));
    const file = await tap.stop();
    const [received, lost] = statistics(file);
    expect(count).toBeGreaterThan(10_000);
    expect(received).toBe(count);
    expect(lost).toBeGreaterThan(1000);
    expect(lost).toBeLessThan(count);
    // What found no room, and what lay in the ring when the tap ended.
    const why = "messages missing or cut because they came faster than --max-rate, or for lack of room or memory";
    const [, missing, left] =
      new RegExp(` (\\d+) ${why}; (\\d+) more not written before the end;`).exec(tap.said) ?? [];
    expect(Number(missing) + Number(left)).toBe(lost);
    const [generation] = (await host.status()).generations;
    expect(generation?.counters.tap_lost).toBe(Number(missing));
    expect(fs.statSync(file).size).toBeLessThan(65536 * 8);
  });

  test("does not blame --max-rate for what its reader was too slow for", async () => {
    const host = await serve();
    const program = await Program.start(host, "127.0.0.1");
    const flags = ["--port", `${program.port}`, "--seconds", "60", "--max-rate", `${2 ** 40}`, "-w", "-"];
    const words = [join(host.bundle, "socket-bypass"), "tap", ...host.common.slice(0, 4), ...flags];
    const child = spawn(join(shellFolder(host.shell), "sh"), words, { env: host.env });
    host.children.push(child);
    await vi.waitFor(() => expect(isOn(host)[1]).toBe(true), { timeout: 10_000 });
    // More than the ring holds, while nothing is read.
    await program.ask("talk", join(temporaryFolder(), "sent"), "30000000");
    const ended = resultOf(child);
    child.kill("SIGINT");
    const [code, said] = await ended;
    expect({ code, said }).toEqual({
      code: 0,
      said: expect.stringMatching(
        /; [1-9]\d* messages missing or cut for lack of room or memory.*; stopped by a signal\n$/,
      ),
    });
  });

  test("saves up no more than a quarter of a second of --max-rate while nothing is sent", async () => {
    const host = await serve();
    const program = await Program.start(host, "127.0.0.1");
    const rate = 65_536;
    const tap = await Tap.start(host, program.port, "--max-rate", `${rate}`);
    await new Promise((wake) => setTimeout(wake, 6000));
    const [before, start] = [fs.statSync(tap.file).size, Date.now()];
    await program.ask("flood", "2");
    const written = fs.statSync(tap.file).size - before;
    // What passes until here is time in which it may write; a busy machine makes this more.
    const seconds = (Date.now() - start) / 1000 + 0.25;
    expect(written).toBeGreaterThan(rate);
    expect(written).toBeLessThan(rate * seconds + 65_536);
    await tap.stop();
  });

  test("says which pin it lacks, and what to do, when the pin of its map is gone", async () => {
    const host = await serve();
    fs.rmSync(join(host.pins, host.generation, "maps/taps"));
    const tap = await host.raw("tap", ...host.common.slice(0, 4), "--port", "1", "-w", "-");
    const folder = join(host.pins, host.generation);
    expect(tap).toEqual({
      ...{ code: 1, signal: null, stdout: "" },
      stderr: `socket-bypass: instance ${host.instance}: expected maps/taps pinned in ${folder}, found that pin gone; run pulumi up with detectDrift, or type 'socket-bypass boot start --instance ${host.instance}' (in a pool, delete the pod), which makes it again\n`,
    });
    const flags = [...host.common.slice(0, 4), "--drain-seconds", "0"];
    expect(await host.raw("boot", "start", ...flags)).toMatchObject({ code: 0 });
    expect(await host.status()).toMatchObject({ healthy: true });
    expect(fs.existsSync(join(folder, "maps/taps"))).toBe(true);
  });

  test("ends before its file is larger than --max-bytes, or after --seconds, and then nothing is on", async () => {
    const host = await serve();
    const program = await Program.start(host, "127.0.0.1");
    const tap = await Tap.start(host, program.port, "--max-bytes", "1000000");
    await program.ask("flood", "1.5");
    expect(await tap.ended).toMatchObject({ code: 0 });
    // What was sent and not written is told.
    expect(tap.said).toMatch(/; [1-9]\d* more not written before the end; stopped at --max-bytes\n$/);
    expect(fs.statSync(tap.file).size).toBeGreaterThan(900_000);
    expect(fs.statSync(tap.file).size).toBeLessThanOrEqual(1_000_000);
    expect(isOn(host)).toEqual([0, false]);

    const short = await Tap.start(host, program.port, "--seconds", "1");
    expect((await host.status()).generations[0]).toMatchObject({ tap: { port: program.port, snaplen: 1 << 20 } });
    const { stdout } = await host.raw("metrics", ...host.common.slice(0, 4));
    expect(stdout).toMatch(/^socket_bypass_tapped\{instance="[^"]*",generation="[^"]*"\} [01]$/m);
    expect(await short.ended).toMatchObject({ code: 0 });
    expect(short.said).toMatch(/ 0 messages missing or cut because they came faster than --max-rate\n$/);
    expect(isOn(host)).toEqual([0, false]);
    expect((await host.status()).generations[0]).toMatchObject({ tap: null });
  });

  test("writes to stdout, for a program that reads along", async () => {
    const host = await serve();
    const program = await Program.start(host, "127.0.0.1");
    const words = ["tap", ...host.common.slice(0, 4), "--port", `${program.port}`, "--seconds", "2", "-w", "-"];
    const line = `sh ${join(host.bundle, "socket-bypass")} ${words.join(" ")} | tshark -r - -T fields -e tcp.len -Y "tcp.len > 0"`;
    const reader = spawn("sh", ["-c", line], { env: { ...process.env, ...host.env } });
    host.children.push(reader);
    await vi.waitFor(() => expect(isOn(host)[1]).toBe(true), { timeout: 10_000 });
    await program.ask("talk", join(temporaryFolder(), "sent"), "10", "20");
    expect(await answerOf(reader)).toBe("10\n10\n20\n20\n");
  });

  test("stops showing messages soon after the tap was killed, and the next status removes the rest", async () => {
    const host = await serve();
    const program = await Program.start(host, "127.0.0.1");
    const tap = await Tap.start(host, program.port, "--seconds", "60");
    tap.process.kill("SIGKILL");
    await tap.ended;
    expect(isOn(host)[0]).toBeGreaterThan(0);
    await new Promise((wake) => setTimeout(wake, 3100));
    await program.ask("talk", join(temporaryFolder(), "sent"), "10");
    expect(isOn(host)).toEqual([0, true]);
    expect((await host.status()).generations[0]).toMatchObject({ tap: null });
    expect(isOn(host)).toEqual([0, false]);

    const killed = await Tap.start(host, program.port, "--seconds", "60");
    killed.process.kill("SIGKILL");
    await killed.ended;
    const next = await Tap.start(host, program.port);
    await program.ask("talk", join(temporaryFolder(), "sent"), "10");
    await next.stop();
    expect(next.said).toContain("2 messages in 5 packets");
  });

  test("needs no more than what a pod of a node pool has", async () => {
    const host = await serve();
    const program = await Program.start(host, "127.0.0.1");
    const rights = "-all,+bpf,+net_admin,+perfmon";
    const words = [
      "--bounding-set",
      rights,
      "--inh-caps",
      rights,
      "--no-new-privs",
      "sh",
      join(host.bundle, "socket-bypass"),
    ];
    const flags = [...host.common.slice(0, 4), "--port", `${program.port}`, "--seconds", "2", "-w", "-"];
    const child = spawn("setpriv", [...words, "tap", ...flags], { env: host.env });
    host.children.push(child);
    const ended = resultOf(child);
    await vi.waitFor(() => expect(isOn(host)[1]).toBe(true), { timeout: 10_000 });
    await program.ask("talk", join(temporaryFolder(), "sent"), "10");
    expect(await ended).toEqual([0, expect.stringContaining("2 messages in 5 packets")]);
  });

  test("refuses a second tap of an instance, and lets the first one go on", async () => {
    const host = await serve();
    const program = await Program.start(host, "127.0.0.1");
    const tap = await Tap.start(host, program.port);
    const file = join(temporaryFolder(), "second");
    const second = await host.raw("tap", ...host.common.slice(0, 4), "--port", "1", "-w", file);
    expect(second).toMatchObject({ code: 1, stdout: "" });
    expect(second.stderr).toMatch(
      /expected no other tap of this instance, found one running; wait for its end, or end it\n$/,
    );
    expect(fs.existsSync(file)).toBe(false);
    await program.ask("talk", join(temporaryFolder(), "sent"), "10");
    await tap.stop();
    expect(tap.said).toContain("2 messages in 5 packets");
  });

  test("ends when its generation does", async () => {
    const host = await serve();
    const tap = await Tap.start(host, 6379, "--seconds", "60");
    await host.raw("remove", ...host.common.slice(0, 4), "--drain-seconds", "0");
    expect(await tap.ended).toMatchObject({ code: 0 });
    expect(tap.said).toContain("; stopped because another generation serves now\n");
  });

  test("makes its file for root alone, and writes to none that exists", async () => {
    const host = await serve();
    const folder = temporaryFolder();
    const [file, link] = [join(folder, "file"), join(folder, "link")];
    fs.symlinkSync(file, link);
    const tap = (path: string) =>
      host.raw("tap", ...host.common.slice(0, 4), "--port", "6379", "--seconds", "1", "-w", path);
    expect(await tap(link)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(`-w ${link}: expected no such file, found one`),
    });
    expect(await tap(join(folder, "none/file"))).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("found ENOENT"),
    });
    expect(fs.existsSync(file)).toBe(false);
    expect(await tap(file)).toMatchObject({ code: 0, stdout: "" });
    expect(fs.statSync(file).mode & 0o777).toBe(0o600);
    expect(await tap(file)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("found one; choose another name"),
    });
    expect(read(file)).toEqual([]);
    expect(isOn(host)).toEqual([0, false]);
  });

  test("fails where nothing is written any more, and ends quietly with a reader that has gone", async () => {
    const host = await serve();
    const program = await Program.start(host, "127.0.0.1");
    const words = [...host.common.slice(0, 4), "--port", `${program.port}`, "--seconds", "30"];
    const line = (to: string) => `sh ${join(host.bundle, "socket-bypass")} tap ${words.join(" ")} -w - ${to}`;
    for (const [to, code, said] of [
      [">/dev/full", 1, "-w: expected to write, found ENOSPC"],
      ["| true", 0, ""],
    ] as const) {
      const child = spawn("bash", ["-c", `set -o pipefail; ${line(to)}`], { env: { ...process.env, ...host.env } });
      host.children.push(child);
      const [status, stderr] = await resultOf(child);
      expect(stderr).toContain(said);
      if (code === 1) expect(status).toBe(1);
      expect(isOn(host)).toEqual([0, false]);
    }
  });

  test.each([
    [["-w", "x"], "tap: expected --port, found none"],
    [["--port", "1"], "tap: expected -w FILE, found none"],
    [["--port", "0", "-w", "x"], "--port: expected 1 to 65535, found 0"],
    [["--port", "65536", "-w", "x"], "--port: expected 1 to 65535, found 65536"],
    [["--port", "http", "-w", "x"], "--port: expected a number, found http"],
    [["--port", "1", "-w"], "--write: expected a value, found nothing"],
    [["--port", "1", "-w", "x", "--seconds", "0"], "--seconds: expected 1 to 3600, found 0"],
    [["--port", "1", "-w", "x", "--seconds", "3601"], "--seconds: expected 1 to 3600, found 3601"],
    [["--port", "1", "-w", "x", "--snaplen", "1048577"], "--snaplen: expected 0 to 1048576, found 1048577"],
    [["--port", "1", "-w", "x", "--max-bytes", "65535"], "--max-bytes: expected 65536 to 1099511627776, found 65535"],
    [["--port", "1", "-w", "x", "--max-rate", "1"], "--max-rate: expected 65536 to 1099511627776, found 1"],
  ])("refuses %j", async (words, why) => {
    const { code, stderr } = await new Host().raw("tap", ...words);
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining(why) });
  });
});

afterEach(() => {
  for (const tap of taps.splice(0)) tap.process.kill("SIGKILL");
});

const taps: Tap[] = [];

async function serve(...flags: string[]): Promise<Host> {
  const host = new Host();
  expect(await host.apply(...flags)).toMatchObject({ code: 0 });
  return host;
}

/** The end of the lease, and whether there is a ring. */
function isOn(host: Host): [until: number, hasRing: boolean] {
  const maps = join(host.pins, host.generation, "maps");
  const look = (map: string, key: number) =>
    spawnSync("bpftool", ["-j", "map", "lookup", "pinned", join(maps, map), "key", `${key}`, "0", "0", "0"], {
      encoding: "utf8",
    });
  const { value } = JSON.parse(look("knobs", TAP).stdout);
  const until = Buffer.from(value.map(Number)).readBigUInt64LE();
  return [Number(until), look("taps", 0).status === 0 && !look("taps", 0).stdout.includes("error")];
}

class Tap {
  readonly ended: Promise<{ code: number | null }>;
  said = "";

  private constructor(
    readonly process: ChildProcess,
    readonly file: string,
  ) {
    process.stderr?.on("data", (data) => {
      this.said += data;
    });
    this.ended = new Promise((done) => process.on("close", (code) => done({ code })));
    taps.push(this);
  }

  static async start(host: Host, port: number, ...flags: string[]): Promise<Tap> {
    const file = join(temporaryFolder(), "tap.pcapng");
    const words = [...host.common.slice(0, 4), "--port", `${port}`, "-w", file, ...flags];
    const script = join(host.bundle, "socket-bypass");
    const child = spawn(join(shellFolder(host.shell), "sh"), [script, "tap", ...words], { env: host.env });
    const tap = new Tap(child, file);
    const before = isOn(host)[0];
    await vi.waitFor(() => expect(isOn(host)[0]).toBeGreaterThan(before), { timeout: 10_000, interval: 20 });
    return tap;
  }

  /** Ends it as Ctrl-C does, and gives the file. */
  async stop(): Promise<string> {
    this.process.kill("SIGINT");
    expect({ ...(await this.ended), said: this.said }).toMatchObject({
      code: 0,
      said: expect.stringMatching(/^probe: .* by a signal\n$|^\d+ messages .*\n$/),
    });
    return this.file;
  }
}

class Program {
  private constructor(
    readonly port: number,
    private readonly child: ChildProcess,
    private readonly lines: AsyncIterator<string>,
  ) {}

  static async start(host: Host, address: string): Promise<Program> {
    const child = host.start("python3", join(__dirname, "tap.py"), address);
    const lines = createInterface({ input: child.stdout ?? process.stdin })[Symbol.asyncIterator]();
    return new Program(Number((await lines.next()).value), child, lines);
  }

  async ask(...words: string[]): Promise<string> {
    this.child.stdin?.write(`${words.join(" ")}\n`);
    const { value, done } = await this.lines.next();
    if (done) throw new Error("expected an answer of tap.py, found its end");
    return value;
  }
}

async function startPostgres(host: Host): Promise<number> {
  const port = await freePort();
  const folder = temporaryFolder();
  const data = join(folder, "data");
  fs.chmodSync(folder, 0o755);
  fs.mkdirSync(data, 0o700);
  execFileSync("chown", ["postgres:", data]);
  const as = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"];
  const init = [...as.slice(1), join(postgres ?? "", "initdb"), "-D", data, "-A", "trust", "-N"];
  execFileSync("setpriv", init, { cwd: "/", stdio: ["ignore", "ignore", "inherit"] });
  const settings = ["fsync=off", "unix_socket_directories=", "listen_addresses=127.0.0.1", `port=${port}`];
  host.start(
    `${as[0]}`,
    ...as.slice(1),
    join(postgres ?? "", "postgres"),
    "-D",
    data,
    ...settings.flatMap((one) => ["-c", one]),
  );
  return port;
}

async function resultOf(child: ChildProcess): Promise<[code: number | null, stderr: string]> {
  let stderr = "";
  child.stderr?.on("data", (data) => {
    stderr += data;
  });
  child.stdout?.resume();
  return await new Promise((done) => child.on("close", (code) => done([code, stderr])));
}

async function answerOf(child: ChildProcess): Promise<string> {
  let stdout = "";
  child.stdout?.on("data", (data) => {
    stdout += data;
  });
  child.stdin?.end();
  return await new Promise((done) => child.on("close", () => done(stdout)));
}

/** The lines that tshark prints about a file. */
function read(file: string, ...words: string[]): string[] {
  const { status, stdout, stderr } = spawnSync("tshark", ["-r", file, ...words], {
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
  expect({ status, stderr: stderr.replace(/^Running as user.*\n/m, "") }).toEqual({ status: 0, stderr: "" });
  return stdout.split("\n").slice(0, -1);
}

/** The bytes of both directions of the only connection of this client, as tshark joins them. */
function follow(file: string, clientPort: string): Buffer[] {
  const [stream] = read(file, "-T", "fields", "-e", "tcp.stream", "-Y", `tcp.srcport == ${clientPort}`);
  const lines = read(file, "-q", "-z", `follow,tcp,raw,${stream}`).filter((line) => /^\t?[0-9a-f]+$/.test(line));
  return [(line: string) => !line.startsWith("\t"), (line: string) => line.startsWith("\t")].map((isOf) =>
    Buffer.from(lines.filter(isOf).join("").replace(/\t/g, ""), "hex"),
  );
}

/** isb_ifrecv and isb_ifdrop of the last block. */
function statistics(file: string): number[] {
  const all = bytes(file);
  const block = all.subarray(all.length - all.readUInt32LE(all.length - 4));
  expect(block.readUInt32LE(0)).toBe(5);
  const found = new Map<number, number>();
  for (let at = 20; block.readUInt16LE(at) !== 0; at += 4 + Math.ceil(block.readUInt16LE(at + 2) / 4) * 4) {
    if (block.readUInt16LE(at + 2) === 8) found.set(block.readUInt16LE(at), Number(block.readBigUInt64LE(at + 4)));
  }
  return [found.get(4) ?? Number.NaN, found.get(5) ?? Number.NaN];
}
