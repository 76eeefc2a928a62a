// SPDX-License-Identifier: Apache-2.0
import { spawn, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { dirname, join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { SocketBypass, type SocketBypassArgs } from "../../../src/index.js";
import { findEngine } from "../../../tools/pulumi/stack.js";
import { cli } from "../../src/cli/run.js";
import { atEnd, Far, isSkipped, makeFolder, makeKeys } from "./far.js";
import { Fleet } from "./fleet.js";

/*
 * Follows docs/how-to/evidence.md step by step: A, B, A with the real engine, the real command,
 * and Redis on two machines. `EVIDENCE=FOLDER npx vitest run test/e2e/ssh/evidence.test.ts`
 * records longer and more often, and keeps everything: the report of that page is from there. Not
 * proven here: that the bypass saves time, which other tests on this machine would disturb.
 */
const kept = process.env.EVIDENCE;
const [seconds, rounds] = kept === undefined ? [4, 1] : [20, 3];
const port = 6379;
const missing = ["redis-server", "redis-benchmark"].find((tool) => spawnSync("which", [tool]).status !== 0);
type Name = "web" | "shop";

describe.skipIf(isSkipped || (missing !== undefined && !process.env.CI))("evidence for a roll-out", () => {
  const fars = {} as Record<Name, Far>;
  let fleet: Fleet;
  let env: Record<string, string>;
  const folder = kept ?? makeFolder();
  const file = (name: string) => join(folder, `${name}.json`);
  const base: SocketBypassArgs = {
    traffic: { ports: [`${port}`] },
    ...{ spliceGuard: "off", selfTest: { enabled: false } },
  };
  const ask = (...words: string[]) => cli([...words, "--stack", fleet.stackName], env, join(fleet.folder, "backend"));

  beforeAll(async () => {
    const keys = makeKeys();
    const hosts: SocketBypassArgs["hosts"] = {};
    for (const name of ["web", "shop"] as const) {
      fars[name] = await new Far({ keys, hasOwnProcesses: true }).start();
      hosts[name] = { connection: fars[name].connection() };
      run(fars[name], "redis-server", "--port", `${port}`, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no");
    }
    fleet = new Fleet({ ...base, hosts }, async () => {
      const { logins } = new SocketBypass("edge", fleet.args);
      return { socketBypass: logins };
    });
    await fleet.up();
    const programs = makeFolder();
    const known = Object.values(fars).map((far) => `${far.address} ${far.login().hostKey}`);
    fs.writeFileSync(join(programs, "known_hosts"), `${known.join("\n")}\n`);
    const words = `-F none -i ${keys.file} -o UserKnownHostsFile=${join(programs, "known_hosts")}`;
    fs.writeFileSync(join(programs, "ssh"), `#!/bin/sh\nexec /usr/bin/ssh ${words} "$@"\n`, { mode: 0o755 });
    const { workspace } = await fleet.open();
    env = {
      ...(workspace.envVars as Record<string, string>),
      PATH: `${programs}:${dirname(findEngine().pulumi)}:${process.env.PATH}`,
    };
    fs.mkdirSync(folder, { recursive: true });
  }, 180_000);

  test("A, B, A by `enabled` gives a report in which only B has no bypass", async () => {
    const [on, off]: [string[], string[]] = [[], []];
    const record = async (name: string, list: string[]) => {
      const said = await ask("record", "--seconds", `${seconds}`, "-o", file(name));
      expect(said).toEqual({ code: 0, stdout: `${file(name)}\n`, stderr: "" });
      list.push("--before", file(name));
    };
    const switchTo = async (enabled: boolean) => {
      fleet.args = { ...fleet.args, enabled };
      expect((await fleet.up()).changes).toEqual({ "web-policy": "update", "shop-policy": "update" });
    };
    for (const far of Object.values(fars)) startLoad(far);
    await areEnrolled();
    await record("on-1", on);
    for (let round = 1; round <= rounds; round++) {
      const before = clientsOf(fars);
      await switchTo(false);
      await record(`off-${round}`, off);
      expect(clientsOf(fars)).toEqual(before);
      await switchTo(true);
      for (const far of Object.values(fars)) {
        far.run("pkill", "-x", "redis-benchmark");
        startLoad(far);
      }
      await areEnrolled();
      await record(`on-${round + 1}`, on);
    }
    const after = (list: readonly string[]) => list.map((word) => word.replace("--before", "--after"));
    const change = await reportOf("change-request", [...off, ...after(on)]);
    expect(change.map(({ was, is }) => [was, is > 50])).toEqual([
      [0, true],
      [0, true],
    ]);
    const noise = await reportOf("noise", [...on.slice(0, 2), ...after(on.slice(-2))]);
    expect(noise.map(({ was, is }) => [was > 50, is > 50])).toEqual([
      [true, true],
      [true, true],
    ]);
  }, 900_000);

  /** Writes a report, and gives the bypassed share of both sides in percent, a service a line. */
  async function reportOf(name: string, words: readonly string[]) {
    const output = join(folder, name);
    const { code, stdout, stderr } = await cli(["report", ...words, "--output", output]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout.trimEnd().split("\n")).toEqual([join(output, "report.md"), join(output, "report.svg")]);
    const page = fs.readFileSync(join(output, "report.md"), "utf8");
    const cells = page.split("\n").flatMap((line) => (line.startsWith("| ") ? [line.split(" | ")] : []));
    // The heading stands first.
    const found = cells.filter((row) => row.length === 11 && row[0] !== "| ---").slice(1);
    expect(found.map(([host, service]) => `${host} ${service}`).sort()).toEqual([
      `| shop redis-server:${port}`,
      `| web redis-server:${port}`,
    ]);
    for (const row of found) expect(Number(row[2]) > 0 && Number(row[3]) > 0).toBe(true);
    const drawing = fs.readFileSync(join(output, "report.svg"), "utf8");
    const costs = found.filter((row) => row[10] !== "? |");
    // Two for each service, and two in the legend.
    expect(drawing.match(/<circle/g)).toHaveLength(2 + 2 * costs.length);
    return found.map((row) => ({ was: Number.parseFloat(row[4] ?? ""), is: Number.parseFloat(row[5] ?? "") }));
  }

  async function areEnrolled(): Promise<void> {
    const enrolled = async () => {
      const { hosts } = JSON.parse((await ask("top", "--interval", "1", "--count", "1", "--json")).stdout);
      return hosts.map(({ answer }: { answer: { connections: number } | null }) => (answer?.connections ?? 0) > 0);
    };
    await expect.poll(enrolled, { timeout: 60_000 }).toEqual([true, true]);
  }
});

/** The processes of the clients and the ends of their connections. */
function clientsOf(fars: Readonly<Record<Name, Far>>): string[] {
  return Object.values(fars).map((far) =>
    far.run(
      "sh",
      "-c",
      `pgrep -x redis-benchmark; ss -Htn state established sport = :${port} | tr -s ' ' | cut -d ' ' -f 4 | sort`,
    ),
  );
}

/** Requests without end, on connections that stay open. */
function startLoad(far: Far): void {
  const words = ["redis-benchmark", "-p", `${port}`, "-q", "-n", "1000000000", "-c", "3"];
  run(far, ...words, "-t", "set", "-d", "1000");
}

/** Runs a program on a machine, in its cgroup, until the end. */
function run(far: Far, ...words: string[]) {
  const line = 'echo $$ >"$(awk \'$3 == "cgroup2" { print $2; exit }\' /proc/mounts)"/cgroup.procs; exec "$@"';
  const child = spawn("nsenter", [...far.enter(), "sh", "-c", line, "sh", ...words], { stdio: "ignore" });
  atEnd(() => child.kill("SIGKILL"));
  return child;
}
