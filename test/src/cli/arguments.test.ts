// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { helpText, readArguments, verbs } from "../../../src/cli/arguments";
import { cli, programs } from "./run";

test("a command line becomes what was typed, and defaults", () => {
  expect(readArguments(["top", "--ssh", "ops@web1", "--ssh", "web2", "--become", "sudo -n", "--count", "3"])).toEqual({
    ...{ verb: "top", ssh: ["ops@web1", "web2"], stack: undefined, stackOutput: "socketBypass", cwd: undefined },
    ...{ become: "sudo -n", instance: undefined, stateDir: undefined, parallel: 16, isJson: false },
    ...{ pool: undefined, node: undefined, context: undefined },
    ...{ seconds: undefined, interval: 2, count: 3, file: undefined, before: [], after: [], output: "." },
  });
  expect(readArguments(["advise", "--ssh", "a", "--seconds", "1"])).toMatchObject({ seconds: 1 });
  expect(readArguments(["record", "--ssh", "a", "-o", "b", "--seconds", "3600"])).toMatchObject({ seconds: 3600 });
  expect(readArguments(["help"])).toBe("help");
  expect(readArguments(["status", "--help"])).toBe("help");
});

test.each(["version", "--version"])("%s prints the version of the package, and takes no flags", async (word) => {
  const { version } = JSON.parse(readFileSync(join(__dirname, "../../../package.json"), "utf8"));
  expect(await cli([word])).toEqual({ code: 0, stdout: `${version}\n`, stderr: "" });
  expect(await cli([word, "--json"])).toMatchObject({ code: 2, stdout: "" });
});

test("help names every verb, in lines that fit a terminal of 110 columns", () => {
  for (const verb of Object.keys(verbs)) expect(helpText()).toContain(`\n  ${verb} `);
  expect(helpText()).toContain("advise (30), record (60): how long they look");
  for (const line of helpText().split("\n")) expect(line.length).toBeLessThanOrEqual(110);
});

test.each([
  [["dance"], 'expected a verb (status, flows, metrics, advise, top, record, report), found "dance"'],
  [["status"], "status: expected --ssh USER@HOST or --stack NAME"],
  [["status", "--ssh", "a", "--stack", "b"], "status: expected --ssh or --stack, found both"],
  [["status", "--ssh", "a", "--node", "b"], "--node: expected --stack, found --ssh"],
  [["status", "--ssh", "a", "--frobnicate"], "Unknown option '--frobnicate'"],
  [["status", "web1"], "Unexpected argument 'web1'"],
  [["status", "--ssh", "a", "--interval", "2"], "status: expected no --interval"],
  [["top", "--ssh", "a", "--interval", "0"], '--interval: expected 1 to 86400, found "0"'],
  [["advise", "--ssh", "a", "--seconds", "0"], '--seconds: expected 1 to 3600, found "0"'],
  [["record", "--ssh", "a", "-o", "b", "--seconds", "3601"], '--seconds: expected 1 to 3600, found "3601"'],
  [["record", "--ssh", "a"], "record: expected -o FILE"],
  [["report", "--before", "a"], "report: expected --before and --after"],
  [["report", "--ssh", "a", "--before", "a", "--after", "b"], "report: expected no --ssh"],
])("%j is refused", (words, message) => {
  expect(() => readArguments(words)).toThrow(message);
});

test.each([
  ["--ssh", "-oProxyCommand=x", 'expected a destination, as in ops@web1, found "-oProxyCommand=x"'],
  ["--ssh", "a b", 'expected a destination, as in ops@web1, found "a b"'],
  ["--become", "sudo -n; rm", 'expected a command and its options, as in "sudo -n", found "sudo -n; rm"'],
  ["--become", "-x", 'expected a command and its options, as in "sudo -n", found "-x"'],
  ["--state-dir", "/a/../b", 'expected an absolute directory, as in /var/lib/socket-bypass, found "/a/../b"'],
  ["--instance", "$(x)", 'expected at most 63 lower-case letters, digits and dashes, found "$(x)"'],
])("%s %s is refused before anything runs", async (flag, value, message) => {
  const words = ["status", ...(flag === "--ssh" ? [] : ["--ssh", "web1"]), `${flag}=${value}`];
  const PATH = programs({ ssh: "echo it ran" });
  expect(await cli(words, { PATH })).toEqual({
    ...{ code: 2, stdout: "", stderr: `socket-bypass: ${flag}: ${message}; see npx socket-bypass help\n` },
  });
});

test("a missing ssh is the reason of each host, and a missing pulumi is one error", async () => {
  const PATH = programs({});
  expect(await cli(["metrics", "--ssh", "web1", "--ssh", "web2"], { PATH })).toEqual({
    ...{ code: 1, stdout: "# EOF\n" },
    stderr:
      "web1: ssh: expected this program on PATH, found none\nweb2: ssh: expected this program on PATH, found none\n",
  });
  expect(await cli(["status", "--stack", "prod"], { PATH })).toEqual({
    ...{ code: 1, stdout: "" },
    stderr:
      "socket-bypass: pulumi: expected the program of Pulumi on PATH, found none; install it, or name hosts with --ssh\n",
  });
});
