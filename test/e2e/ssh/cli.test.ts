// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn } from "node:child_process";
import * as fs from "node:fs";
import { dirname, join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { beforeAll, describe, expect, test } from "vitest";
import { SocketBypass } from "../../../src/index.js";
import { findEngine } from "../../../tools/pulumi/stack.js";
import { cli, cliWords } from "../../src/cli/run.js";
import { atEnd, Far, isSkipped, makeFolder, makeKeys } from "./far.js";
import { Fleet } from "./fleet.js";

/** Talks without end, over a port that is given. */
const talker = join(resolve(__dirname, "../../.."), "test/host/script/talk.py");
/** Its name, made printable. */
const talkers = "a?b?[2J??";

// The user's own configuration of ssh stands in a file that the program on PATH is told to read,
// because ssh looks for it in the home directory of root.
describe.skipIf(isSkipped)("the command on the operator's machine", () => {
  let fleet: Fleet;
  let web: Far;
  let ops: Far;
  let bastion: Far;
  let env: Record<string, string>;
  let cwd: string;

  beforeAll(async () => {
    const keys = makeKeys();
    bastion = await new Far({ keys }).start();
    web = await new Far({ keys, behind: bastion }).start();
    // What else runs here must be in no recording of this machine.
    const sudoers = "ops ALL=(root) NOPASSWD: ALL";
    ops = await new Far({ user: "ops", keys, sudoers, hasOwnProcesses: true }).start();
    const hosts = {
      web: { connection: web.connection({ proxy: bastion.login() }) },
      ops: { connection: ops.connection(), become: "sudo -n" },
    };
    const args = { hosts, traffic: { everything: true }, spliceGuard: "off" as const, selfTest: { enabled: false } };
    fleet = new Fleet(args, async () => {
      const { logins, hosts: reports } = new SocketBypass("edge", fleet.args);
      return { socketBypass: logins, reports };
    });
    await fleet.up();
    const { workspace } = await fleet.open();
    const folder = makeFolder();
    const known = [web, ops, bastion].map((far) => `${far.address} ${far.login().hostKey}`).join("\n");
    fs.writeFileSync(join(folder, "known_hosts"), `${known}\n`);
    const config = join(folder, "config");
    // As where a user keeps keys for some hosts.
    fs.writeFileSync(
      config,
      `Host *\n  IdentityFile ${keys.file}\n  UserKnownHostsFile ${join(folder, "known_hosts")}\n`,
    );
    fs.writeFileSync(join(folder, "ssh"), `#!/bin/sh\nexec /usr/bin/ssh -F ${config} "$@"\n`, { mode: 0o755 });
    env = {
      ...(workspace.envVars as Record<string, string>),
      PATH: `${folder}:${dirname(findEngine().pulumi)}:${process.env.PATH}`,
    };
    cwd = join(fleet.folder, "backend");
  }, 180_000);
  const ask = (verb: string, ...flags: string[]) => cli([verb, "--stack", fleet.stackName, ...flags], env, cwd);

  test("finds the hosts of a stack without a key or a password, and keeps no address in plain text", async () => {
    const said = JSON.parse(await fleet.cli("stack", "output", "socketBypass", "--json", "--show-secrets"));
    const { instance } = web.status()[0] ?? {};
    expect(said.web).toEqual({
      ssh: {
        ...{ host: web.address, port: 22, user: "root" },
        proxy: { host: bastion.address, port: 22, user: "root" },
      },
      ...{ stateDir: "/var/lib/socket-bypass", instance },
    });
    expect(said.ops).toMatchObject({ become: "sudo -n", ssh: { user: "ops" } });
    for (const far of [web, ops, bastion]) expect(fleet.stateFile()).not.toContain(far.address);
  });

  test("shows the status of each host as a table and as JSON, through a bastion and sudo", async () => {
    const { stdout, stderr, code } = await ask("status");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const [head, ...rows] = stdout.trimEnd().split("\n");
    expect(head).toMatch(/^HOST +INSTANCE +HEALTHY +SERVING +ENROLLED +BYPASS +TCP +PROBLEM$/);
    expect(rows.map((row) => row.split(/ +/).slice(0, 3))).toEqual(
      [ops, web].map((far, at) => [["ops", "web"][at], far.status()[0]?.instance, "yes"]),
    );
    const { hosts } = JSON.parse((await ask("status", "--json")).stdout);
    expect(hosts.map(({ host, answer }: { host: string; answer: unknown[] }) => [host, answer.length])).toEqual([
      ...[
        ["ops", 1],
        ["web", 1],
      ],
    ]);
  });

  test("lists the flows, merges the metrics and follows the rates of all hosts", async () => {
    const port = await talk(web);
    const flows = await ask("flows");
    expect(flows).toMatchObject({ code: 0, stderr: "" });
    expect(flows.stdout).toMatch(new RegExp(`^web +127\\.0\\.0\\.1:\\d+ .* 127\\.0\\.0\\.1:${port} a\\?b`, "m"));

    const metrics = await ask("metrics");
    expect(metrics).toMatchObject({ code: 0, stderr: "" });
    expect(metrics.stdout.match(/^socket_bypass_healthy\{host="(ops|web)",instance="[^"]+"\} 1$/gm)).toHaveLength(2);
    expect(metrics.stdout.match(/^# TYPE socket_bypass_healthy gauge$/gm)).toHaveLength(1);
    expect(metrics.stdout.endsWith("\n# EOF\n")).toBe(true);

    const top = await ask("top", "--interval", "1", "--count", "4", "--json");
    expect(top).toMatchObject({ code: 0, stderr: "" });
    const blocks = top.stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(blocks).toHaveLength(4);
    const last = blocks.at(-1).hosts.find(({ host }: { host: string }) => host === "web").answer;
    expect(last.ports.find((one: { port: number }) => one.port === port).bypass.messages).toBeGreaterThan(20);
    const text = await ask("top", "--interval", "1", "--count", "2");
    expect(text.stdout).toMatch(new RegExp(`^web +${port} +a\\?b`, "m"));
    expect(text.stdout).toMatch(/^[ -~\n]*$/);
  });

  test("shows top in a terminal until q, and leaves the terminal and the hosts as they were", async () => {
    const actions = JSON.stringify([
      ["wait", "web "],
      ["wait", "BYPASS/s"],
      ["key", "q"],
    ]);
    const words = [join(dirname(talker), "pty.py"), "20", "100", actions, ...cliWords];
    const child = spawn("python3", [...words, "top", "--stack", fleet.stackName, "--interval", "1"], {
      ...{ cwd, env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] },
    });
    const [out, err] = await Promise.all([textOf(child.stdout), textOf(child.stderr)]);
    expect(err).toBe("");
    const { code, restored, said } = JSON.parse(out);
    expect({ code, restored }).toEqual({ code: 0, restored: true });
    expect(said).toContain("\u001b[?1049h");
    expect(said.trimEnd().endsWith("\u001b[?25h\u001b[?1049l")).toBe(true);
    // The other ends notice at their next line.
    await expect.poll(() => web.run("sh", "-c", "pgrep -fc '[t]op --json' || :").trim(), { timeout: 15_000 }).toBe("0");
  });

  test("asks hosts that are named, with the reason of each that does not answer", async () => {
    const silent = ops.nobody();
    const words = ["--ssh", `ops@${ops.address}`, "--ssh", `nosuch@${ops.address}`, "--ssh", `root@${silent}`];
    const { stdout, code } = await cli(["status", ...words, "--become", "sudo -n"], env, cwd);
    expect(code).toBe(1);
    const [, first, second, third] = stdout.trimEnd().split("\n");
    expect(first).toMatch(/^ops@\S+ +edge-ops-\w+ +yes /);
    expect(second).toMatch(/Permission denied \(publickey/);
    expect(third).toMatch(/Connection timed out|No route to host|Host key verification failed/);
  });

  test("says what a host lacks: root, an installation, a known key", async () => {
    const plain = await cli(["status", "--ssh", `ops@${ops.address}`], env, cwd);
    expect(plain.stdout).toContain("expected to run as root, found another user; give become");
    const absent = await cli(["flows", "--ssh", `root@${bastion.address}`], env, cwd);
    expect(absent.stdout).toContain("/var/lib/socket-bypass: expected an installation, found none");
    expect([plain.code, absent.code]).toEqual([1, 1]);
    const stranger = await new Far({ keys: makeKeys() }).start();
    const unknown = await cli(["status", "--ssh", `root@${stranger.address}`], env, cwd);
    expect(unknown.stdout).toContain("Host key verification failed.");
  });

  test("names the output that a stack lacks, and a stack that is not there", async () => {
    const without = await ask("status", "--stack-output", "nothing");
    expect(without).toMatchObject({ code: 1, stdout: "" });
    expect(without.stderr).toContain(
      "expected the output nothing, found none; add `export const nothing = bypass.logins;`",
    );
    const other = await ask("status", "--stack-output", "reports");
    expect(other.stderr).toContain("--stack-output reports: expected the logins of a SocketBypass");
    const gone = await cli(["status", "--stack", "gone"], env, cwd);
    expect(gone).toMatchObject({ code: 1, stdout: "" });
    expect(gone.stderr).toMatch(/^socket-bypass: --stack gone: pulumi: .*no stack named 'gone' found/);
    expect(gone.stderr.trim().split("\n")).toHaveLength(1);
  });

  test("advises on a host without an installation, and leaves nothing there", async () => {
    const port = await talk(bastion);
    const left = () => bastion.run("sh", "-c", "find /var/lib /run -xdev | sort; ls /sys/fs/bpf");
    const before = left();
    const flags = ["--ssh", `root@${bastion.address}`, "--seconds", "2", "--json"];
    const { stdout, stderr, code } = await cli(["advise", ...flags], env, cwd);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const { services } = JSON.parse(stdout).hosts[0].answer;
    const its = services.find((one: { port: number }) => one.port === port);
    expect(its).toMatchObject({ program: talkers, connections: 2, onHost: 2, kind: "request" });
    expect(its.perSecond.inbound).toBeGreaterThan(20);
    expect(left()).toBe(before);
  });

  test("records traffic, and reports it", async () => {
    const port = await talk(ops);
    const folder = makeFolder();
    const file = join(folder, "recording.json");
    expect(await ask("record", "--seconds", "6", "-o", file)).toEqual({ code: 0, stdout: `${file}\n`, stderr: "" });
    const { begin, end } = JSON.parse(fs.readFileSync(file, "utf8")).hosts.ops;
    const grown = (all: "counters" | "cpu", name: string) => end[all][name] - begin[all][name];
    expect(grown("counters", "socket_bypass_port_messages_total any bypass")).toBeGreaterThan(100);
    expect(grown("cpu", talkers)).toBeGreaterThan(0);
    expect(end.up - begin.up).toBeGreaterThanOrEqual(6);

    const told = await cli(["report", "--before", file, "--after", file, "--output", folder]);
    expect(told).toMatchObject({ code: 0, stderr: "" });
    const twice = (column: string, group: number) => `(${column}) \\| \\${group}`;
    const columns = [twice("[\\d,]+", 1), twice("\\d+\\.\\d %", 2), twice("[\\d.]+", 3), "\\?"].join(" \\| ");
    const row = new RegExp(`^\\| ops \\| a\\?b\\S+:${port} \\| ${columns} `, "m");
    const [, , share = ""] = row.exec(fs.readFileSync(join(folder, "report.md"), "utf8")) ?? [];
    expect(Number.parseFloat(share)).toBeGreaterThan(50);
  });

  test("follows the rates of a host that is named, by the user's own ssh", async () => {
    const port = await talk(ops);
    const words = ["--ssh", `ops@${ops.address}`, "--become", "sudo -n", "--interval", "1", "--count", "4", "--json"];
    const { stdout, stderr, code } = await cli(["top", ...words], env, cwd);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const [last, ...others] = stdout.trimEnd().split("\n").reverse();
    expect(others).toHaveLength(3);
    const [{ host, answer }] = JSON.parse(last ?? "").hosts;
    const found = answer.ports.find((one: { port: number }) => one.port === port);
    expect([host, found]).toMatchObject([`ops@${ops.address}`, { program: talkers, connections: 2 }]);
    expect(found.bypass.messages).toBeGreaterThan(20);
  });

  test("shows a host that has gone beside those that answer", async () => {
    await ops.stop();
    const { stdout, code } = await ask("status");
    expect(code).toBe(1);
    expect(stdout).toMatch(/^ops .*(Connection refused|timed out)/m);
    expect(stdout).toMatch(/^web +\S+ +yes /m);
  });
});

/** A program on that machine that talks until the end, and the port of its listener. */
async function talk(far: Far): Promise<number> {
  const line = 'echo $$ >"$(awk \'$3 == "cgroup2" { print $2; exit }\' /proc/mounts)"/cgroup.procs; exec "$@"';
  const child: ChildProcess = spawn("nsenter", [...far.enter(), "sh", "-c", line, "sh", "python3", talker, "2"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  atEnd(() => child.kill("SIGKILL"));
  const lines = createInterface({ input: child.stdout ?? process.stdin })[Symbol.asyncIterator]();
  return Number((await lines.next()).value);
}

async function textOf(stream: NodeJS.ReadableStream | null): Promise<string> {
  let text = "";
  for await (const chunk of stream ?? []) text += chunk;
  return text;
}
