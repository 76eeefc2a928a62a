// SPDX-License-Identifier: Apache-2.0
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, expect, test } from "vitest";
import { Host, isSkipped, run, type Shell, shellFolder, shells } from "../../support/host.js";

interface Rates {
  readonly messages: number;
  readonly bytes: number;
}
interface Frame {
  readonly seconds: number;
  readonly connections: number;
  readonly bypass: Rates;
  readonly tcp: Rates;
  readonly ports: readonly {
    readonly port: number;
    readonly program: string;
    readonly connections: number;
    readonly bypass: Rates;
    readonly tcp: Rates;
    readonly why: Record<string, number>;
  }[];
  readonly otherDirections: number;
  readonly directions: readonly { readonly from: string; readonly bypass: Rates; readonly why: string | null }[];
}
type Action = readonly [string, ...(string | number)[]];

const esc = "\u001b";
const enter = `${esc}[?1049h${esc}[?25l`;
const leave = `${esc}[?25h${esc}[?1049l`;

// bash is not among the shells of the other tests, and is /bin/sh on many hosts.
describe.skipIf(isSkipped).each<Shell | "bash">([...shells, "bash"])("top under %s", (shell) => {
  test("prints rates by port and by direction as JSON and as text, without escape sequences", async () => {
    const { host, port } = await talk(shell, 3);
    const { stdout, code } = await top(host, shell, "--count", "2", "--interval", "1", "--json");
    const [first, second, ...more] = stdout
      .trimEnd()
      .split("\n")
      .map((line): Frame => JSON.parse(line));
    expect({ code, more }).toEqual({ code: 0, more: [] });
    for (const frame of [first, second]) {
      const its = frame?.ports.find((one) => one.port === port);
      expect(its).toMatchObject({ program: "a?b?[2J??", connections: 3, why: {} });
      expect(its?.bypass.messages).toBeGreaterThan(50);
      // Requests of 100 bytes, answers of 50.
      expect((its?.bypass.bytes ?? 0) / (its?.bypass.messages ?? 1)).toBeCloseTo(75, 0);
      // Now and then one goes by TCP, so that its keepalive sees the peer (`refreshSeconds`).
      expect(its?.tcp.messages).toBeLessThan(2);
      expect(frame?.directions).toHaveLength(6);
      expect(frame?.directions.reduce((sum, one) => sum + one.bypass.messages, 0)).toBeCloseTo(
        its?.bypass.messages ?? 0,
        0,
      );
      expect(frame?.seconds).toBeGreaterThanOrEqual(1);
    }

    const text = await top(host, shell, "--seconds", "1", "--interval", "1");
    expect(text).toMatchObject({ code: 0, stderr: "" });
    expect(text.stdout).toMatch(/^[ -~\n]*$/);
    expect(text.stdout).toMatch(/^socket-bypass top {2}\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ /);
    expect(text.stdout).toMatch(new RegExp(`^ *${port} {2}a\\?b\\?\\[2J\\?\\? +3 +\\d+ .* -$`, "m"));
    expect(text.stdout).toMatch(/^127\.0\.0\.1:\d+ a\?b\?\[2J\?\?\/\d+ {2}127\.0\.0\.1:\d+ .* - ?/m);
  });

  test("counts what a drain puts on TCP, and says why", async () => {
    const { host, port } = await talk(shell, 1, "--queue-bytes", "100000");
    await host.raw("drain", ...host.common.slice(0, 4), "--drain-seconds", "0");
    const { stdout } = await top(host, shell, "--count", "1", "--interval", "1", "--json");
    const frame: Frame & { readonly generations: readonly { readonly draining: boolean }[] } = JSON.parse(stdout);
    expect(frame.generations).toMatchObject([{ draining: true }]);
    expect(frame.bypass.messages).toBe(0);
    // Drained sockets leave the map soon.
    for (const its of frame.ports.filter((one) => one.port === port)) {
      expect(Object.keys(its.why)).toEqual(["drained"]);
      expect(its.tcp.bytes).toBeGreaterThan(its.tcp.messages * 49);
    }
  });

  test.each<[string, Action, number]>([
    ["q", ["key", "q"], 0],
    ["Ctrl-C", ["key", "\u0003"], 130],
    ["SIGTERM", ["signal", "TERM"], 143],
    ["SIGHUP", ["signal", "HUP"], 129],
    ["SIGQUIT", ["signal", "QUIT"], 131],
  ])("fills a terminal and restores it at %s", async (_, action, code) => {
    const { host, port } = await talk(shell, 20);
    // It does not wait for its next look, which is an hour away.
    const actions: Action[] = [["wait", `  -${esc}[K`], ["wait", `${esc}[J`], action];
    const shown = await inTerminal(host, shell, 12, 100, actions, "3600");
    expect(shown).toMatchObject({ code, restored: true });
    expect(shown.said.startsWith(enter)).toBe(true);
    expect(shown.said.trimEnd().endsWith(leave)).toBe(true);
    const frames = framesIn(shown.said);
    for (const lines of frames) {
      expect(lines.length).toBeLessThanOrEqual(12);
      for (const line of lines) expect(line).toMatch(/^[ -~]{0,100}$/);
    }
    expect(frames.at(-1)?.join("\n")).toContain(`${port}`);
  });

  test("follows the size of its terminal, and ignores other keys, also Ctrl-\\ and Ctrl-Z", async () => {
    const { host } = await talk(shell, 20);
    const actions: Action[] = [["wait", `${esc}[J`], ["key", "xyz \u001c\u001a"], ["size", 9, 60], ["forget"]];
    const more: Action[] = [["wait", `${esc}[J`], ["forget"], ["wait", `${esc}[J`], ["key", "q"]];
    const shown = await inTerminal(host, shell, 24, 160, [...actions, ...more]);
    expect(shown).toMatchObject({ code: 0, restored: true });
    const last = framesIn(shown.said).at(-1) ?? [];
    expect(last.length).toBeGreaterThan(5);
    expect(last.length).toBeLessThanOrEqual(9);
    for (const line of last) expect(line).toMatch(/^[ -~]{0,60}$/);
  });

  test("ends with the reason on stderr when its instance goes, and restores the terminal", async () => {
    const host = new Host(shell === "bash" ? "dash" : shell);
    await host.apply();
    const shown = inTerminal(host, shell, 24, 80, [["wait", "no connection is enrolled"]]);
    shown.catch(() => undefined);
    await new Promise((wake) => setTimeout(wake, 1500));
    await host.raw("remove", ...host.common.slice(0, 4), "--drain-seconds", "0");
    const { said, code, restored } = await shown;
    expect({ code, restored }).toEqual({ code: 1, restored: true });
    expect(said.split(leave)[1]).toContain(`instance ${host.instance}: expected it in `);
  });

  test("ends when the program that reads it has gone", async () => {
    const { host } = await talk(shell, 1);
    const line = '"$0" "$@" | head -n 1';
    const words = [shellOf(shell), join(host.bundle, "socket-bypass"), "top", "--interval", "1"];
    const all = [...words, ...host.common.slice(0, 4)];
    const { stdout, code } = await run("timeout", ["20", "sh", "-c", line, ...all], host.env);
    expect({ code, lines: stdout.split("\n").length }).toEqual({ code: 0, lines: 2 });
  });

  test.each([
    ["--interval", "0"],
    ["--count", "0"],
    ["--seconds", "86401"],
  ])("refuses %s %s", async (flag, value) => {
    const host = new Host(shell === "bash" ? "dash" : shell);
    const answer = await top(host, shell, flag, value);
    expect(answer).toMatchObject({ code: 2, stdout: "" });
    expect(answer.stderr).toContain(`${flag}: expected 1 to 86400, found ${value}`);
  });
});

describe.skipIf(isSkipped)("top with 10,000 connections", () => {
  test("stays within its rows, and says how long a look takes if that is longer than the interval", async () => {
    const host = new Host();
    await host.apply();
    const child = host.start("python3", "-c", many, "10000");
    const lines = createInterface({ input: child.stdout ?? process.stdin })[Symbol.asyncIterator]();
    expect((await lines.next()).value).toBe("open");
    const { stdout, code } = await top(host, "dash", "--count", "1", "--interval", "1", "--json");
    const frame: Frame & { readonly lookSeconds: number } = JSON.parse(stdout);
    console.log(`top: a look at 10,000 connections takes ${frame.lookSeconds} s`);
    expect({ code, connections: frame.connections }).toEqual({ code: 0, connections: 10_000 });
    expect(frame.directions).toHaveLength(20);
    expect(frame.otherDirections).toBe(19_980);
    const shown = await inTerminal(
      host,
      "dash",
      24,
      80,
      [["wait", `${esc}[J`], ["forget"], ["wait", `${esc}[J`], ["key", "q"]],
      "1",
    );
    expect(shown).toMatchObject({ code: 0, restored: true });
    for (const lines of framesIn(shown.said)) expect(lines.length).toBeLessThanOrEqual(24);
    if (frame.lookSeconds > 1) expect(shown.said).toMatch(/a look takes \d\.\d s/);
  });
});

/** A process for each end, because a process may have only so many files. */
const many = `
import os, resource, socket, sys
count = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
listener = socket.create_server(("127.0.0.1", 0), backlog=1000)
if os.fork() == 0:
    ends = [listener.accept()[0] for _ in range(count)]
    sys.stdin.read()
else:
    ends = [socket.create_connection(listener.getsockname()) for _ in range(count)]
    print("open", flush=True)
    sys.stdin.read()
`;

function shellOf(shell: Shell | "bash"): string {
  return shell === "bash" ? "/bin/bash" : join(shellFolder(shell), "sh");
}

/** An installation, and a program that talks over this many connections. */
async function talk(shell: Shell | "bash", connections: number, ...flags: string[]) {
  const host = new Host(shell === "bash" ? "dash" : shell);
  await host.apply(...flags);
  const child = host.start("python3", join(__dirname, "talk.py"), `${connections}`);
  const lines = createInterface({ input: child.stdout ?? process.stdin })[Symbol.asyncIterator]();
  return { host, port: Number((await lines.next()).value) };
}

function top(host: Host, shell: Shell | "bash", ...flags: string[]) {
  const words = [join(host.bundle, "socket-bypass"), "top", ...host.common.slice(0, 4), ...flags];
  return run(shellOf(shell), words, host.env);
}

interface Shown {
  readonly said: string;
  readonly code: number;
  readonly restored: boolean;
}

async function inTerminal(
  host: Host,
  shell: Shell | "bash",
  rows: number,
  columns: number,
  actions: readonly Action[],
  interval = "1",
): Promise<Shown> {
  const words = [join(host.bundle, "socket-bypass"), "top", ...host.common.slice(0, 4), "--interval", interval];
  const all = [join(__dirname, "pty.py"), `${rows}`, `${columns}`, JSON.stringify(actions), shellOf(shell), ...words];
  const { stdout, stderr, code } = await run("python3", all, host.env);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return JSON.parse(stdout);
}

/** The lines of each whole frame. */
function framesIn(said: string): string[][] {
  const frames = said.split(`${esc}[H`).slice(1);
  const whole = frames.filter((frame) => frame.includes(`${esc}[J`)).map((frame) => frame.split(`${esc}[J`)[0] ?? "");
  expect(whole.length).toBeGreaterThan(0);
  return whole.map((frame) => frame.split("\r\n").map((line) => line.replace(`${esc}[K`, "")));
}
