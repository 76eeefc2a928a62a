// SPDX-License-Identifier: Apache-2.0
import * as fs from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { cli, makeFolder, programs } from "./run";

// A host that says whatever it likes: the stand-in for ssh runs the line here, and the script that
// it finds is ours. test/e2e/ssh/cli.test.ts has real ones.
describe.skipIf(process.getuid?.() !== 0)("a hostile host", () => {
  let PATH = "";
  beforeAll(() => {
    const ssh = 'for last; do :; done\necho "Welcome"\nexec sh -c "$last"';
    PATH = `${programs({ ssh })}:${process.env.PATH}`;
  });
  const ask = async (verb: string, script: string, ...flags: string[]) => {
    const stateDir = makeFolder("/var/lib");
    fs.mkdirSync(join(stateDir, "edge"));
    fs.writeFileSync(join(stateDir, "edge", "socket-bypass"), script);
    return await cli([verb, "--ssh", "web1", "--state-dir", stateDir, ...flags], { PATH });
  };

  test("moves no cursor by what it says", async () => {
    const said = {
      instance: "a\u001b[2Jb\u009bc\u202ed",
      serving: "",
      healthy: false,
      problems: ["x\ny"],
      generations: [],
    };
    const { stdout, code } = await ask("status", `cat <<'END'\n${JSON.stringify([said])}\nEND\n`);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^[ -~\n]*$/);
    expect(stdout).toMatch(/^web1 +a\?\[2Jb\?c\?d +no +nothing +0 +0 +0 +x\?y$/m);
  });

  test.each([
    [{ "\u001b[2J": 1 }, {}],
    [{}, { "\u001b[2J": 1 }],
  ])("moves no cursor by the keys of what it says", async (counters, why) => {
    const rates = { messages: 1, bytes: 1 };
    const status = {
      instance: "a",
      serving: "b",
      healthy: true,
      problems: [],
      generations: [{ generation: "b", counters }],
    };
    const frame = {
      ...{ version: 1, seconds: 1, lookSeconds: 0, spliceGuard: "none", generations: [], connections: 1 },
      ...{ newConnections: 0, bypass: rates, tcp: rates, unread: 0, otherPorts: 0, directions: [], otherDirections: 0 },
      ports: [{ port: 1, program: "x", connections: 1, bypass: rates, tcp: rates, unread: 0, why }],
    };
    const quoted = (value: object) => `printf '%s\\n' '${JSON.stringify(value)}'`;
    const script = `case $1 in status) ${quoted([status])} ;; *) ${quoted(frame)}; sleep 4 ;; esac`;
    const all = [await ask("status", script), await ask("top", script, "--interval", "1", "--count", "1")];
    for (const { stdout } of all) expect(stdout).toMatch(/^[ -~\n]*$/);
    expect(all.map(({ code }) => code).sort()).toEqual([0, 1]);
  });

  test.each([
    ["no JSON", "status", "echo hello", "answers with no JSON: hello"],
    ["nothing", "flows", ":", "answers with no JSON: nothing"],
    [
      "another shape",
      "status",
      'echo "[{}]"',
      "answers with something else at 0.instance; run pulumi up, because the version there may be another",
    ],
    [
      "a number that is too large",
      "flows",
      'echo \'[{"instance":"a","generation":"b","client":{"port":1e99}}]\'',
      "answers with something else at 0.client",
    ],
    ["more than it may", "status", "yes", "prints more than 4194304 bytes"],
    ["an error of many lines", "status", 'printf "a\\nsocket-bypass: why\\033[2J\\nb\\n" >&2; exit 1', "why?[2J"],
    ["metrics without an end", "metrics", "echo", "answers with no OpenMetrics text: its end is missing"],
    [
      "metrics that are none",
      "metrics",
      'printf "rm -rf /\\n# EOF\\n"',
      'answers with no OpenMetrics text: "rm -rf /"',
    ],
  ])("that says %s is one line", async (_, verb, script, message) => {
    const { stdout, stderr, code } = await ask(verb, script);
    expect(code).toBe(1);
    const lines = `${stdout}${stderr}`.trimEnd().split("\n");
    expect(lines.filter((line) => line.startsWith("web1"))).toEqual([expect.stringContaining(message)]);
    expect(stderr).not.toMatch(/\n {4}at /);
    const json = JSON.parse((await ask(verb, script, "--json")).stdout);
    expect(json).toEqual({ hosts: [{ host: "web1", error: expect.stringContaining(message) }] });
  });

  test("that sends a line without end to top is given up", async () => {
    const { stdout, code } = await ask("top", 'yes | tr -d "\\n"', "--count", "2", "--interval", "1");
    expect(code).toBe(1);
    expect(stdout).toContain("prints a line of more than 262144 bytes");
  });

  test("whose script is not root's own is not run", async () => {
    const stateDir = makeFolder();
    fs.mkdirSync(join(stateDir, "edge"));
    fs.writeFileSync(join(stateDir, "edge", "socket-bypass"), "echo it ran");
    const { stdout, code } = await cli(["status", "--ssh", "web1", "--state-dir", stateDir], { PATH });
    expect(code).toBe(1);
    expect(stdout).toContain("expected root to own it and nobody else to write to it");
    expect(stdout).not.toContain("it ran");
  });

  test("without an installation says so", async () => {
    const { stdout, code } = await cli(["status", "--ssh", "web1", "--state-dir", "/var/lib/nothing-here"], { PATH });
    expect({ code, stdout }).toEqual({
      code: 1,
      stdout: expect.stringContaining("/var/lib/nothing-here: expected an installation, found none"),
    });
  });
});

test("a forced command that runs something else is told from an answer", async () => {
  const PATH = `${programs({ ssh: "echo '[]'" })}:${process.env.PATH}`;
  const { stdout, code } = await cli(["status", "--ssh", "web1"], { PATH });
  expect(code).toBe(1);
  expect(stdout).toContain(
    "runs another command than it is told; remove what forces one there: ForceCommand of sshd, or ",
  );
});
