// SPDX-License-Identifier: Apache-2.0
// Long: one test for each kind of program.
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { release } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Host, isSkipped, shells, temporaryFolder, writeTool } from "../../support/host.js";
import { countsRedirected } from "../../support/machine.js";
import { freePort } from "../../support/port.js";

/*
 * Programs that splice, on a kernel without a way for the splice guard, which these tests simulate
 * on any kernel. They are real: a Go program, HAProxy, and Python under other names. Not proven
 * here: that the programs of those names splice and what happens to them then (test/e2e/apps); that
 * systemd accepts the suggested lines of a unit.
 */
beforeEach(() => {
  Host.spliceWays = "no-way";
});
afterEach(() => {
  Host.spliceWays = "";
});

function said(port: number, pid: number): string {
  return `nginx (process ${pid}, port ${port}): expected a kernel whose FIONREAD counts what comes through the bypass (6.6.128, 6.12.75, 6.18.14, 7.0 or newer), found ${release()}, on which it hangs at longer requests; leave out port ${port}`;
}

let go = "";
beforeAll(() => {
  const folder = temporaryFolder();
  fs.writeFileSync(join(folder, "main.go"), goListener);
  execFileSync("go", ["build", "-buildvcs=false", "-ldflags=-s -w", "-o", join(folder, "listen"), "main.go"], {
    cwd: folder,
    env: { ...process.env, GO111MODULE: "off" },
  });
  go = join(temporaryFolder(), "go-listener");
  fs.copyFileSync(join(folder, "listen"), go);
});

/** Removes the cgroups once their processes have ended. */
afterAll(async () => {
  for (const folder of units.splice(0).reverse()) {
    for (const end = Date.now() + 60_000; fs.existsSync(folder); await new Promise((wake) => setTimeout(wake, 50))) {
      const isLast = Date.now() > end;
      try {
        fs.rmdirSync(folder);
      } catch (error) {
        if (isLast) throw error;
      }
    }
  }
});

describe.skipIf(isSkipped).each(shells)("notes about listening programs, under %s", (shell) => {
  test("are not printed if nobody listens, or only programs that read", async () => {
    const host = new Host(shell);
    const { port } = await listen(host, "/usr/bin/python3", "-c", listener);
    expect(await look(host, `${port},${await freePort()}`)).toEqual([]);
  });

  test("name nginx only if FIONREAD does not count what is redirected", async () => {
    const host = new Host(shell);
    const { port, pid } = await listen(host, named("nginx"));
    expect(await look(host, `${port}`)).toEqual(countsRedirected() ? [] : [expect.stringContaining(said(port, pid))]);
    const grep = execFileSync("which", ["grep"], { encoding: "utf8" }).trim();
    writeTool(host, "grep", `[ "$2" != msg_tot_len ] || exit 1; exec ${grep} "$@"`);
    expect(await look(host, `${port}`)).toEqual([said(port, pid)]);
    Host.spliceWays = "";
    expect(await look(host, `${port}`)).toEqual([said(port, pid)]);
  });

  test("name a Go program with its process, its port and advice, even if it is stripped", async () => {
    const host = new Host(shell);
    const { port, pid } = await listen(host, go);
    const [note, ...more] = await look(host, `${port}`);
    expect(note).toBe(
      `go-listener (process ${pid}, port ${port}): expected no program that splices where the kernel has no method for spliceGuard, found a Go program, which splices where it copies from one connection to another; leave out port ${port}, or keep it from splicing (SystemCallFilter=~splice:EINVAL where it is a unit of systemd)`,
    );
    expect(more).toEqual([]);
    expect(await look(host, `${port - 1}-${port + 1}`)).toContain(note);
    expect(await look(host, "", "--cidrs", "10.0.0.0/8")).toContain(note);
    expect(await look(host, `${await freePort()}`)).toEqual([]);
  });

  test("name docker-proxy, its unit, and the lines that the unit needs", async () => {
    const host = new Host(shell);
    const { port, pid } = await listen(host, named("docker-proxy"));
    putInUnit(host, pid, "docker.service");
    expect(await look(host, `${port}`)).toEqual([
      `docker-proxy (process ${pid}, port ${port}): expected no program that splices where the kernel has no method for spliceGuard, found one that splices; leave out port ${port}, or type 'systemctl edit docker.service', write '[Service]' and below it 'SystemCallFilter=~splice:EINVAL', and restart it`,
    ]);
  });

  test("leave out a unit that already refuses splice once its process runs under the filter", async () => {
    const host = new Host(shell);
    writeTool(
      host,
      "systemctl",
      '[ "$*" = "show --property=SystemCallFilter -- filtered.service" ] && echo "SystemCallFilter=~acct splice:EINVAL swapon"',
    );
    const [before, after] = [await listen(host, go), await listen(host, "/usr/bin/python3", "-c", filtered, go)];
    for (const { pid } of [before, after]) putInUnit(host, pid, "filtered.service");
    const found = await look(host, `${before.port},${after.port}`);
    expect(found).toEqual([expect.stringContaining(`(process ${before.pid}, port ${before.port}):`)]);
  });

  test("advise only to leave out the port of a program that gives up at any errno", async () => {
    const host = new Host(shell);
    const { port } = await listen(host, named("3proxy"));
    expect(await look(host, `${port}`)).toEqual([
      expect.stringMatching(new RegExp(`^3proxy .* found one that splices; leave out port ${port}$`)),
    ]);
  });

  test("include a listener in another network namespace", async () => {
    const host = new Host(shell);
    const { port } = await listen(host, "unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$0"', go);
    expect(await look(host, `${port}`)).toEqual([expect.stringMatching(/^go-listener \(process \d+, port /)]);
  });

  test("name HAProxy if its configuration splices or cannot be read", async () => {
    const host = new Host(shell);
    const option = "  option splice-auto\n";
    expect(await lookAtHaproxy(host, { more: option })).toEqual([
      expect.stringMatching(/ found HAProxy with 'option splice-\*'; .*SystemCallFilter=~splice:ENOSYS/),
    ]);
    expect(await lookAtHaproxy(host, { more: option, chroot: true, words: ["-W"] })).toHaveLength(1);
    expect(await lookAtHaproxy(host, { more: option, isFolder: true })).toHaveLength(1);
    expect(await lookAtHaproxy(host, { isGone: true })).toEqual([
      expect.stringContaining("found HAProxy, whose configuration cannot be read"),
    ]);
  });

  test("leave out HAProxy if it does not splice", async () => {
    const host = new Host(shell);
    const option = "  option splice-auto\n";
    expect(await lookAtHaproxy(host, {})).toEqual([]);
    expect(await lookAtHaproxy(host, { more: "  no option splice-auto\n  # option splice-auto\n" })).toEqual([]);
    expect(await lookAtHaproxy(host, { more: option, words: ["-dS"] })).toEqual([]);
    expect(await lookAtHaproxy(host, { more: option, global: "  nosplice\n" })).toEqual([]);
  });

  test("hold no terminal control characters from the name of a program or unit", async () => {
    const host = new Host(shell);
    const file = join(temporaryFolder(), "a\nb\x1b[2J\xc2\x9b c");
    fs.copyFileSync(go, file);
    fs.chmodSync(file, 0o755);
    const { port, pid } = await listen(host, file);
    putInUnit(host, pid, "x\x1b[2J.service");
    const { stderr } = await host.verb("preflight", "--ports", `${port}`);
    expect(stderr).toMatch(/^socket-bypass: note: a\?b\?\[2J\S+ c \(process /);
    expect(stderr).toMatch(/^[ -~\n]*$/);
    expect(stderr).not.toContain("systemctl edit");
    expect(stderr.trim().split("\n")).toHaveLength(1);
  });

  test("come with a change of ports, as long as those are bypassed and protection is wanted", async () => {
    const host = new Host(shell);
    host.spliceGuard = "auto";
    const { port } = await listen(host, go);
    const set = async (...flags: string[]) => notesOf(await host.verb("policy set", "--ports", ...flags));
    const apply = (...flags: string[]) => host.verb("apply", "--off", "--ports", `${port}`, ...flags);
    const named = [expect.stringMatching(/^go-listener /)];
    expect(notesOf(await apply())).toEqual(named);
    expect(await set(`${await freePort()}`)).toEqual([]);
    expect(await set(`${port}`)).toEqual(named);
    expect(await set(`${port}`, "--enabled", "false")).toEqual([]);
    expect(notesOf(await apply("--splice-guard", "off"))).toEqual([]);
    expect(await set(`${port}`)).toEqual([]);
  });

  test("need a choice of traffic, and a wrong port is refused", async () => {
    const host = new Host(shell);
    await listen(host, go);
    expect(await host.verb("preflight")).toMatchObject({ code: 0, stderr: "" });
    expect(await host.verb("preflight", "--ports", "0")).toMatchObject({ code: 2, stdout: "" });
  });
});

async function look(host: Host, ports: string, ...flags: string[]): Promise<string[]> {
  const answer = await host.verb("preflight", ...(ports === "" ? [] : ["--ports", ports]), ...flags);
  expect(answer.stdout).toMatch(/ spliceGuard=none\n$/);
  return notesOf(answer);
}

function notesOf({ code, stderr }: { code: number | null; stderr: string }): string[] {
  expect({ code, stderr }).toMatchObject({ code: 0 });
  const lines = stderr.split("\n").filter((line) => line !== "");
  return lines.map((line) => line.replace(/^socket-bypass: note: /, ""));
}

/** Starts a program that prints its port and then its PID. */
async function listen(host: Host, command: string, ...args: string[]): Promise<{ port: number; pid: number }> {
  const child = host.start(command, ...args);
  const lines = createInterface({ input: child.stdout ?? process.stdin })[Symbol.asyncIterator]();
  const [port = "", pid = ""] = ((await lines.next()).value ?? "").split(" ");
  return { port: Number(port), pid: Number(pid) };
}

/** Makes a Python script with the name of another program. */
function named(name: string): string {
  const file = join(temporaryFolder(), name);
  fs.writeFileSync(file, `#!/usr/bin/python3\n${listener}`, { mode: 0o755 });
  return file;
}

const units: string[] = [];

/** Moves a process into a cgroup that is named as systemd would name it. */
function putInUnit(host: Host, pid: number, unit: string): void {
  const slice = `${host.cgroupFolder}-units`;
  for (const folder of [slice, join(slice, unit)]) {
    if (fs.existsSync(folder)) continue;
    fs.mkdirSync(folder);
    units.push(folder);
  }
  fs.writeFileSync(join(slice, unit, "cgroup.procs"), `${pid}`);
}

interface Haproxy {
  readonly more?: string;
  readonly global?: string;
  readonly words?: string[];
  readonly chroot?: boolean;
  readonly isFolder?: boolean;
  readonly isGone?: boolean;
}

async function lookAtHaproxy(host: Host, its: Haproxy): Promise<string[]> {
  const [port, folder] = [await freePort(), temporaryFolder()];
  const file = join(folder, "a.cfg");
  fs.writeFileSync(
    file,
    `global
${its.global ?? ""}${its.chroot ? `  chroot ${temporaryFolder()}\n` : ""}defaults
  mode tcp
  timeout connect 1s
  timeout client 1s
  timeout server 1s
listen one
  bind 127.0.0.1:${port}
${its.more ?? ""}  server s 127.0.0.1:${await freePort()}
`,
  );
  const child = host.start("/usr/sbin/haproxy", "-q", ...(its.words ?? []), "-f", its.isFolder ? dirname(file) : file);
  for (const end = Date.now() + 60_000; ; await new Promise((wake) => setTimeout(wake, 50))) {
    const answer = execFileSync("ss", ["-ltnH", `sport = :${port}`], { encoding: "utf8" });
    if (answer !== "") break;
    if (Date.now() > end) throw new Error(`expected haproxy on ${port} within a minute`);
  }
  if (its.isGone) fs.rmSync(file);
  const notes = await look(host, `${port}`);
  child.kill("SIGTERM");
  await new Promise((done) => child.once("close", done));
  expect(notes.every((note) => note.includes(`, port ${port}): expected no program that splices`))).toBe(true);
  return notes;
}

const listener = `
import os, socket, sys
one = socket.create_server(("127.0.0.1", 0))
print(one.getsockname()[1], os.getpid(), flush=True)
sys.stdin.read()
`;

const goListener = `package main

import (
	"fmt"
	"io"
	"net"
	"os"
)

func main() {
	one, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(one.Addr().(*net.TCPAddr).Port, os.Getpid())
	io.Copy(io.Discard, os.Stdin)
}
`;

/** Runs a program under a system call filter that allows everything. */
const filtered = `
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
line = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0x7fff0000))
rules = ctypes.create_string_buffer(struct.pack("HxxxxxxP", 1, ctypes.addressof(line)))
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, rules) == 0, ctypes.get_errno()
os.execv(sys.argv[1], sys.argv[1:])
`;
