// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { cli, cliWords, makeFolder, programs } from "./run";

const rates = { messages: 1, bytes: 1 };
const frame = JSON.stringify({
  ...{ version: 1, seconds: 1, lookSeconds: 0, spliceGuard: "none", generations: [], connections: 1 },
  ...{ newConnections: 0, bypass: rates, tcp: rates, unread: 0, otherPorts: 0, directions: [], otherDirections: 0 },
  ports: [{ port: 6379, program: "redis", connections: 1, bypass: rates, tcp: rates, unread: 0, why: {} }],
});

/** A stand-in for ssh: it writes a log and runs a line that may print the mark and frames. */
function standIn(line: string) {
  const log = join(makeFolder(), "log");
  const mark = "mark() { printf %s \"$last\" | grep -o 'answer [0-9a-f]*' | head -n 1; }";
  const ssh = `for last; do :; done\nlog() { echo "$*" >>${log}; }\n${mark}\nframe() { echo '${frame}'; }\n${line}`;
  return { env: { PATH: `${programs({ ssh })}:${process.env.PATH}` }, said: () => fs.readFileSync(log, "utf8") };
}
const hosts = (...names: string[]) => names.flatMap((name) => ["--ssh", name]);

test("top logs in to as many hosts at once as --parallel says, and follows all of them", async () => {
  const { env, said } = standIn("log begins; sleep 0.3; log is in; mark; while frame; do sleep 0.3; done");
  const flags = ["--parallel", "1", "--interval", "1", "--count", "4", "--json"];
  const { stdout, code } = await cli(["top", ...hosts("a", "b", "c"), ...flags], env);
  expect(code).toBe(0);
  expect(said()).toBe("begins\nis in\n".repeat(3));
  const last = JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "");
  expect(last.hosts.map(({ answer }: { answer?: object }) => answer !== undefined && answer !== null)).toEqual([
    ...[true, true, true],
  ]);
});

test("a host that fails makes room for the next one", async () => {
  const { env } = standIn('case $* in *" bad "*) echo no >&2; exit 1 ;; esac; mark; while frame; do sleep 0.3; done');
  const { stdout, code } = await cli(
    ["top", ...hosts("bad", "good"), "--parallel", "1", "--interval", "1", "--count", "2"],
    env,
  );
  expect(code).toBe(1);
  expect(stdout).toMatch(/^bad .* no$/m);
  expect(stdout).toMatch(/^good +6379 +redis/m);
});

test("the rates of a host that sends nothing any more are not shown as live", async () => {
  const { env, said } = standIn('log "$*"; mark; frame; exec sleep 20');
  const text = await cli(["top", ...hosts("web1"), "--interval", "1", "--count", "5"], env);
  const [first = "", ...more] = text.stdout.split(/^socket-bypass top .*\n/m).slice(1);
  expect(first).toMatch(/^web1 +6379 +redis/m);
  expect(more.at(-1)).toMatch(/^web1 .* no look for \d s$/m);
  expect(more.at(-1)).not.toContain("redis");
  expect(said()).toContain("-o ServerAliveInterval=15 -o ServerAliveCountMax=3");
}, 20_000);

test("ssh asks nothing while the screen is open", async () => {
  const { env, said } = standIn('log "$*"; mark; while frame; do sleep 0.3; done');
  const actions = JSON.stringify([
    ["wait", "redis"],
    ["key", "q"],
  ]);
  const pty = [join(resolve(__dirname, "../../.."), "test/host/script/pty.py"), "20", "100", actions];
  const words = [...pty, ...cliWords, "top", ...hosts("web1"), "--interval", "1"];
  const { stdout, stderr } = spawnSync("python3", words, { env: { ...process.env, ...env }, encoding: "utf8" });
  expect(stderr).toBe("");
  expect(JSON.parse(stdout)).toMatchObject({ code: 0, restored: true });
  expect(said()).toContain("-o BatchMode=yes");
});
