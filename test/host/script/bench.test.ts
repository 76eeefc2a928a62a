// SPDX-License-Identifier: Apache-2.0
import { spawn } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { findMount } from "../../../tools/setup/mounts.js";
import { Host, isSkipped, readLink, shellFolder, shells, writeTool } from "../../support/host.js";

interface Row {
  readonly mode: string;
  readonly size: number;
  readonly cpus: number;
  readonly way: string;
  readonly rps: number;
  readonly mbps: number;
  readonly p50us: number | null;
  readonly p99us: number | null;
  readonly ratio: number;
}

const ways = ["plain", "bypass", "unix"];
const cells = [
  ["rr", 64],
  ["rr", 16384],
  ["stream", 65536],
];

const v2 = findMount("cgroup2");

/** The cgroup and the trial in bpffs of the run with this PID, as far as they exist. */
const tracesOf = (pid: number | undefined) =>
  [`${v2}/socket-bypass-bench-${pid}`, `/sys/fs/bpf/socket-bypass/_try-${pid}`].filter((path) => fs.existsSync(path));

// Not proven here: that a figure is right. The runs are real, and any other load on the machine
// changes their figures.
describe.skipIf(isSkipped).each(shells)("bench under %s", (shell) => {
  const start = (host: Host, ...words: string[]) => {
    const child = spawn(join(shellFolder(shell), "sh"), [join(host.bundle, "socket-bypass"), "bench", ...words], {
      env: host.env,
      detached: true,
    });
    let [stdout, stderr] = ["", ""];
    child.stdout.on("data", (data) => {
      stdout += data;
    });
    child.stderr.on("data", (data) => {
      stderr += data;
    });
    const ended = new Promise((done) => child.on("close", (code, signal) => done(code ?? signal)));
    return { child, ended: async () => ({ code: await ended, stdout, stderr }) };
  };

  test("measures every cell and way, as JSON and as a table, and leaves nothing behind", async () => {
    const host = new Host(shell);
    const json = start(host, "--seconds", "6", "--json");
    const { code, stdout, stderr } = await json.ended();
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const rows: Row[] = JSON.parse(stdout);
    const cpus = new Set(rows.map((row) => row.cpus));
    expect([...cpus]).toEqual(
      fs.readFileSync("/proc/self/status", "utf8").match(/^Cpus_allowed_list:\s*\d+$/m) ? [1] : [1, 2],
    );
    expect(rows.map(({ mode, size, cpus, way }) => [mode, size, cpus, way])).toEqual(
      cells.flatMap((cell) => [...cpus].flatMap((n) => ways.map((way) => [...cell, n, way]))),
    );
    for (const [at, row] of rows.entries()) {
      const plain = rows[at - (at % 3)];
      expect(row.rps).toBeGreaterThan(0);
      // The rates are rounded to whole messages and to tenths of a megabit.
      const mbps = (row.rps * row.size * 8) / 1e6;
      expect(Math.abs(row.mbps - mbps)).toBeLessThanOrEqual(0.1 + mbps * 0.05 + (row.size * 8) / 1e6);
      expect(row.ratio).toBeCloseTo(row.rps / (plain?.rps ?? 0), 1);
      if (row.mode === "rr") expect(row.p99us).toBeGreaterThanOrEqual(row.p50us ?? Number.NaN);
      else expect([row.p50us, row.p99us]).toEqual([null, null]);
    }
    expect(tracesOf(json.child.pid)).toEqual([]);

    const text = start(host, "--seconds", "6");
    const table = await text.ended();
    expect(table).toMatchObject({ code: 0, stderr: "" });
    const lines = table.stdout.trimEnd().split("\n");
    expect(lines).toHaveLength(rows.length + 1);
    expect(lines[0]).toMatch(/^ +CPUs +1\/s +Mbit\/s +p50 us +p99 us +ratio$/);
    expect(lines[2]).toMatch(/^request\/response 64 B +1 +bypass +\d+ +[\d.]+ +[\d.]+ +[\d.]+ +\d+\.\d\d$/);
    expect(lines.at(-1)).toMatch(/^stream 64 KiB +[12] +Unix socket +\d+ +[\d.]+ +\d+\.\d\d$/);
    expect(tracesOf(text.child.pid)).toEqual([]);
    expect(host.traces()).toEqual([]);
  });

  test("refuses if an instance would bypass the plain connections too, and says what to type", async () => {
    const host = new Host(shell);
    await host.apply();
    claimAll(host);
    const refused = start(host, "--seconds", "6", "--state-dir", host.stateDir);
    const { code, stdout, stderr } = await refused.ended();
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toMatch(
      /^socket-bypass: bench: expected nothing that bypasses its plain connections too, found instance /m,
    );
    expect(stderr).toContain(`type 'socket-bypass drain --instance `);
    expect(tracesOf(refused.child.pid)).toEqual([]);
    claimOwn(host);
  });

  test("refuses without what the self-test needs, and leaves nothing behind", async () => {
    const host = new Host(shell);
    writeTool(host, "bpftool", '[ "$2" != help ] || { echo old; exit; }\nexec /usr/sbin/bpftool "$@"');
    const refused = start(host, "--seconds", "6");
    const { code, stdout, stderr } = await refused.ended();
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toMatch(/bpftool: expected 5\.8 or newer, found .* without .*iter\/pin/);
    expect(tracesOf(refused.child.pid)).toEqual([]);
  });

  test.each(["SIGTERM", "SIGKILL"] as const)(
    "leaves nothing behind after %s, at the latest once the next run ends",
    async (signal) => {
      const host = new Host(shell);
      const stopped = start(host, "--seconds", "60");
      for (let tries = 0; tracesOf(stopped.child.pid).length < 2; tries++) {
        expect(tries).toBeLessThan(400);
        await new Promise((wake) => setTimeout(wake, 50));
      }
      await new Promise((wake) => setTimeout(wake, 1000));
      process.kill(-(stopped.child.pid ?? 0), signal);
      expect((await stopped.ended()).code).toBe(signal === "SIGTERM" ? 143 : "SIGKILL");
      if (signal === "SIGKILL") {
        expect(tracesOf(stopped.child.pid)).toHaveLength(2);
        // A cgroup whose name only begins in the same way belongs to somebody else.
        const alike = `${v2}/socket-bypass-bench-${stopped.child.pid}-other`;
        fs.mkdirSync(alike);
        writeTool(host, "uname", "echo riscv64");
        expect(await start(host, "--seconds", "6").ended()).toMatchObject({ code: 1 });
        expect(fs.existsSync(alike)).toBe(true);
        fs.rmdirSync(alike);
      }
      expect(tracesOf(stopped.child.pid)).toEqual([]);
    },
  );

  test("runs through the link of a wholly bypassed host, with that host's files, if no client can get its ports", async () => {
    const host = new Host(shell);
    await host.verb("apply", "--ports", "1-1000,6379", "--off");
    claimAll(host);
    const link = join(host.toolFolder, "link");
    fs.symlinkSync(join(host.home, "socket-bypass"), link);
    expect(readLink(link)).toBe(join(host.home, "socket-bypass"));
    host.bundle = host.toolFolder;
    fs.renameSync(link, join(host.toolFolder, "socket-bypass"));
    const { code, stdout, stderr } = await start(
      host,
      "--seconds",
      "6",
      "--json",
      "--state-dir",
      host.stateDir,
    ).ended();
    expect({ code, stderr, rows: JSON.parse(stdout || "[]").length > 0 }).toEqual({ code: 0, stderr: "", rows: true });
    claimOwn(host);
  });
});

/** Records another cgroup, and attaches nothing: no test attaches anything above its own cgroup. */
function claimAll(host: Host, cgroup = "/"): void {
  fs.rmSync(join(host.pins, "cgroup"));
  fs.symlinkSync(cgroup, join(host.pins, "cgroup"));
}

function claimOwn(host: Host): void {
  claimAll(host, host.cgroup);
}
