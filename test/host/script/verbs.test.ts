// SPDX-License-Identifier: Apache-2.0
import * as fs from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { attachments, Host, isSkipped, readLink, shells } from "../../support/host.js";

const steps = [
  "object install",
  "map create",
  "program load track",
  "program load redirect",
  "verdict attach",
  "policy set --ports 6379,8000-8999",
  "attach",
];

describe.skipIf(isSkipped).each(shells)("under %s", (shell) => {
  test("every step answers with a serial, which stays the same when it is run again", async () => {
    const host = new Host(shell);
    const first = await answersOf(host);
    expect(first.map(({ code, stderr }) => ({ code, stderr }))).toEqual(steps.map(() => ({ code: 0, stderr: "" })));
    expect(first.map(({ stdout }) => /^\d{10,}\n$/.test(stdout))).toEqual(steps.map(() => true));
    expect(await answersOf(host)).toEqual(first);
  });

  test("a step's serial grows when the step before it changed something", async () => {
    const host = new Host(shell);
    const before = await answersOf(host);
    fs.rmSync(join(host.home, host.generation, "flows.bpf.o"));
    const after = await answersOf(host);
    const growth = after.map(({ stdout }, i) => Math.sign(Number(stdout) - Number(before[i]?.stdout)));
    // -policy and -attachment depend on -selftest, which did not run here.
    expect(growth).toEqual([1, 1, 1, 1, 1, 0, 0]);
    const serials = Object.values((await host.status()).steps).map(({ serial }) => serial);
    expect(serials).toEqual(expect.arrayContaining(after.map(({ stdout }) => Number(stdout))));
  });

  test("a step that changes something after a snapshot was restored answers a new serial", async () => {
    const host = new Host(shell);
    await answersOf(host);
    const serials = join(host.home, "serials");
    const [serial, ...seen] = fs.readFileSync(join(serials, "policy"), "utf8").split(" ");
    // The snapshot is an hour old. The machine has answered later serials since, such as this one
    // plus 1.
    fs.writeFileSync(join(serials, "policy"), [Number(serial) - 3600, ...seen].join(" "));
    const { stdout } = await host.verb("policy set", "--everything");
    expect(Number(stdout)).toBeGreaterThanOrEqual(Number(serial));
  });

  test("apply attaches to the cgroup and nowhere else, and remove leaves nothing behind", async () => {
    const host = new Host(shell);
    const applied = await host.verb("apply", "--everything");
    expect(applied).toEqual({ code: 0, signal: null, stdout: expect.stringMatching(/^\d+\n$/), stderr: "" });
    expect(attachments(host.cgroupFolder)).toEqual(["track_sockets"]);
    expect(attachments(join(host.cgroupFolder, "below"))).toEqual([]);
    expect(readLink(join(host.pins, "serving"))).toBe(host.generation);
    expect(readLink(join(host.pins, "owner"))).toBe(host.owner);
    expect(readLink(join(host.home, "current"))).toBe(host.generation);
    expect(await host.apply()).toMatchObject({ code: 0, stderr: "" });
    const removed = await host.verb("remove");
    expect(removed).toEqual({ code: 0, signal: null, stdout: "done\n", stderr: "" });
    expect(host.traces()).toEqual([]);
    expect(await host.verb("remove")).toMatchObject({ code: 0, stdout: "gone\n" });
  });

  test("each delete is idempotent, and undoes the stages after it", async () => {
    const host = new Host(shell);
    const deletes = [
      "detach",
      "verdict detach",
      "program unload redirect",
      "program unload track",
      "map remove",
      "object remove",
    ];
    for (const first of deletes) {
      await host.apply();
      expect(await host.verb(first)).toMatchObject({ code: 0, stderr: "" });
      expect(attachments(host.cgroupFolder)).toEqual([]);
      expect(fs.existsSync(host.pins)).toBe(false);
      for (const next of deletes.slice(deletes.indexOf(first)))
        expect(await host.verb(next)).toMatchObject({ code: 0, stderr: "" });
      expect(host.traces()).toEqual([]);
    }
  });

  test("drain and resume act on the serving generation, and are idempotent", async () => {
    const host = new Host(shell);
    await host.apply();
    for (const [verb, drain] of [
      ["drain", true],
      ["drain", true],
      ["resume", false],
      ["resume", false],
    ] as const) {
      expect(await host.raw(verb, "--instance", host.instance, "--state-dir", host.stateDir)).toMatchObject({
        code: 0,
        stdout: "done\n",
      });
      expect((await host.status()).generations.map((generation) => generation.drain)).toEqual([drain]);
    }
  });

  test("--enabled false installs and attaches everything, drained", async () => {
    const host = new Host(shell);
    await host.apply("--enabled", "false");
    expect(await host.status()).toMatchObject({
      healthy: true,
      policy: { enabled: false },
      generations: [{ drain: true }],
    });
    await host.verb("policy set", "--everything");
    expect(await host.status()).toMatchObject({
      healthy: true,
      policy: { enabled: true },
      generations: [{ drain: false }],
    });
  });

  test("the self-test answers with one line of JSON and leaves nothing behind", async () => {
    const host = new Host(shell);
    for (const [step, ...flags] of [["object install"], ["map create"], ["selftest"]] as const) {
      expect(await host.verb(step, ...flags)).toMatchObject({ code: 0 });
    }
    const { stdout, stderr } = await host.verb("selftest", "--timeout", "20");
    expect(stdout.split("\n").length).toBe(2);
    const report = JSON.parse(stdout);
    expect(report).toMatchObject({ selftest: "passed", facts: { fionread_redirected: expect.any(String) } });
    expect(report.redirected).toBeGreaterThan(0);
    expect(stderr).toBe("");
    expect(fs.readdirSync(host.pins).sort()).toEqual([host.generation, "owner"]);
    expect(JSON.parse((await host.verb("selftest", "--off")).stdout)).toMatchObject({ selftest: "off", facts: null });
  });
});

async function answersOf(host: Host) {
  const answers = [];
  for (const step of steps) {
    const [words = "", ...flags] = step.split(/ (?=--)/);
    answers.push(await host.verb(words, ...flags.flatMap((flag) => flag.split(" "))));
  }
  return answers;
}
