// SPDX-License-Identifier: Apache-2.0
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Host, isSkipped, readLink, removeTool, shellFolder, shells, writeTool } from "../../support/host.js";

describe.skipIf(isSkipped).each(shells)("under %s", (shell) => {
  test("SIGTERM before the new generation is attached restores the old one", async () => {
    const host = new Host(shell);
    await host.apply();
    const { code } = await stopAt(host, `*"cgroup attach"*`, "SIGTERM");
    expect(code).toBe(143);
    const status = await host.status();
    expect(status).toMatchObject({ serving: host.generation, attached: [{ generation: host.generation }] });
    expect(status.generations.find(({ generation }) => generation === host.generation)?.drain).toBe(false);
  });

  test("SIGTERM after that leaves the new one serving and the old one draining, and the next run finishes", async () => {
    const host = new Host(shell);
    await host.apply();
    const { code } = await stopAt(host, `*"cgroup detach"*`, "SIGTERM");
    expect(code).toBe(143);
    expect(readLink(join(host.pins, "serving"))).toBe(host.nextGeneration);
    expect((await host.status()).healthy).toBe(false);
    expect(await host.apply("--generation", host.nextGeneration)).toMatchObject({ code: 0 });
    expect(await host.status()).toMatchObject({ healthy: true, serving: host.nextGeneration });
  });

  test("SIGHUP and a closed stdout do not stop a run half-way; only its answer is lost", async () => {
    const host = new Host(shell);
    const { code } = await stopAt(host, `*"cgroup attach"*`, "SIGHUP");
    expect(code).toBe(1);
    expect(await host.status()).toMatchObject({ healthy: true, serving: host.nextGeneration });
  });

  test("two runs at once on one host wait for each other", async () => {
    const [one, two] = [new Host(shell), new Host(shell)];
    const answers = await Promise.all([one.apply(), two.apply(), one.apply(), two.apply()]);
    expect(answers.map(({ code, stderr }) => ({ code, stderr }))).toEqual(Array(4).fill({ code: 0, stderr: "" }));
    for (const host of [one, two]) expect(await host.status()).toMatchObject({ healthy: true });
    const removed = await Promise.all([one.verb("remove"), two.verb("remove"), one.verb("remove")]);
    expect(removed.map(({ code }) => code)).toEqual([0, 0, 0]);
    expect([...one.traces(), ...two.traces()]).toEqual([]);
  });
});

/**
 * Applies the next generation with stdout closed early, and sends the signal to the script during
 * the bpftool call that matches the pattern.
 */
async function stopAt(host: Host, pattern: string, signal: NodeJS.Signals): Promise<{ code: number | null }> {
  const there = join(host.toolFolder, "there");
  writeTool(
    host,
    "bpftool",
    `case "$*" in ${pattern}) : >${there}; n=0; while [ -e ${there} ] && [ $n -lt 200 ]; do n=$((n + 1)); sleep 0.05; done ;; esac\nexec /usr/sbin/bpftool "$@"`,
  );
  const words = [
    "apply",
    "--everything",
    "--splice-guard",
    "off",
    "--off",
    "--drain-seconds",
    "1",
    ...host.common,
    "--from",
    host.bundle,
  ];
  const flags = ["--generation", host.nextGeneration, "--cgroup", host.cgroup];
  const script = [join(host.bundle, "socket-bypass"), ...words, ...flags];
  const child = spawn(join(shellFolder(host.shell), "sh"), script, {
    env: host.env,
    stdio: ["ignore", "pipe", "ignore"],
  });
  child.stdout?.destroy();
  const ended = new Promise<number | null>((done) => child.on("exit", (code) => done(code)));
  for (let tries = 0; !existsSync(there) && tries < 400; tries++) await new Promise((wake) => setTimeout(wake, 25));
  child.kill(signal);
  removeTool(host, "there");
  const code = await ended;
  removeTool(host, "bpftool");
  return { code };
}
