// SPDX-License-Identifier: Apache-2.0
// Long: each way in which a status can differ.
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  attachments,
  Host,
  isSkipped,
  makeUnreadable,
  replaceProbe,
  run,
  type Status,
  shellFolder,
  shells,
} from "../../support/host.js";

const reasons =
  "other peer-unknown first-message tcp-unread reader-busy reader-shared reader-behind memory refresh drain reader-locked small-messages much-by-tcp options reader-splices reader-waitall peer-gone".split(
    " ",
  );

/** Sets a knob of the serving generation to 1. */
function setKnob(host: Host, knob: number): void {
  const words = ["key", "hex", `0${knob}`, "00", "00", "00", "value", "hex", "01", ...Array(7).fill("00")];
  bpftool("map", "update", "pinned", join(host.pins, host.generation, "maps/knobs"), ...words);
}

describe.skipIf(isSkipped).each(shells)("status under %s", (shell) => {
  test("reports everything about one instance as JSON", async () => {
    const host = new Host(shell);
    host.spliceGuard = "auto";
    await host.verb(
      "apply",
      "--ports",
      "6379",
      "--cidrs",
      "10.0.0.0/8",
      "--off",
      "--sockets",
      "1024",
      "--pending",
      "128",
    );
    const id = expect.any(Number);
    const tag = expect.stringMatching(/^[0-9a-f]{16}$/);
    const status = await host.status();
    expect(status).toEqual({
      instance: host.instance,
      owner: host.owner,
      declared: host.generation,
      serving: host.generation,
      current: host.generation,
      cgroup: host.cgroup,
      policy: {
        everything: false,
        ports: "6379",
        cidrs: "10.0.0.0/8",
        enabled: true,
        queueBytes: 0,
        refreshSeconds: 0,
      },
      epochs: { object: 0, map: 0, track: 0, redirect: 0, verdict: 0, selftest: 0, policy: 0, attach: 0 },
      steps: Object.fromEntries(
        ["object", "map", "track", "redirect", "verdict", "selftest", "policy", "attach"].map((step) => [
          step,
          { whole: true, serial: expect.any(Number), generation: host.generation },
        ]),
      ),
      spliceGuard: {
        declared: "auto",
        method: expect.stringMatching(/^(lsm|fmod_ret|syscall|none)$/),
        why: expect.any(String),
        waitall: expect.any(Boolean),
        programs: expect.any(Array),
      },
      established: [{ ports: "6379", connections: 0 }],
      unseen: expect.any(String),
      healthy: true,
      problems: [],
      attached: [{ generation: host.generation, flags: "multi", cgroup: host.cgroup }],
      generations: [
        {
          generation: host.generation,
          drain: false,
          sockets: 0,
          tap: null,
          programs: { track: { id, name: "track_sockets", tag }, redirect: { id, name: "redirect_msg", tag } },
          maps: { sockets: { id, type: "sockhash", entries: 1024 }, claims: { id, type: "lru_hash", entries: 128 } },
          counters: expect.any(Object),
          ports: [{ ports: "6379", enrolled: 0, messages: { bypass: 0, tcp: 0 }, bytes: { bypass: 0, tcp: 0 } }],
          notRedirected: Object.fromEntries(reasons.map((reason) => [reason, 0])),
        },
      ],
    });
    expect(Object.keys(status.generations[0]?.counters ?? {})).toEqual(
      "pairs redirected_messages redirected_bytes tcp_messages remote_skipped policy_skipped spills returns leaves gone unpaired refused_busy refused_full refused_other redirect_failed short_skipped rearmed drained refused_options doubtful_messages refused_deferred tap_lost".split(
        " ",
      ),
    );
  });

  test("lists all instances as JSON, and one as text", async () => {
    const [one, two] = [new Host(shell), new Host(shell)];
    await one.apply();
    const second = ["--instance", two.instance, "--cgroup", two.cgroup];
    await one.apply(...second);
    const all = JSON.parse((await one.raw("status", "--json", "--state-dir", one.stateDir)).stdout);
    const names = all.map(({ instance }: { instance: string }) => instance);
    expect(names).toEqual(expect.arrayContaining([one.instance, two.instance]));
    const text = (await one.raw("status", "--instance", one.instance, "--state-dir", one.stateDir)).stdout;
    expect(text).toContain(`instance instance=${one.instance} owner=${one.owner} declared=${one.generation}`);
    expect(text).toContain(`attached generation=${one.generation} flags=multi cgroup=${one.cgroup}\n`);
    await one.raw("remove", "--instance", two.instance, "--state-dir", one.stateDir);
  });

  test("is told of an instance of an earlier version, whose probe reads no maps, by another instance's script", async () => {
    const [one, two] = [new Host(shell), new Host(shell)];
    await one.apply();
    const second = ["--instance", two.instance, "--cgroup", two.cgroup];
    await one.apply(...second);
    replaceProbe(join(one.stateDir, two.instance, one.generation), `[ "$1" != map ] || exit 2`);
    const words = ["--json", "--instance", two.instance, "--state-dir", one.stateDir];
    const kept = join(one.home, "socket-bypass");
    const { code, stdout, stderr } = await run(join(shellFolder(shell), "sh"), [kept, "status", ...words], one.env);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(JSON.parse(stdout).generations).toMatchObject([{ generation: one.generation, drain: false, sockets: 0 }]);
    await one.raw("remove", "--instance", two.instance, "--state-dir", one.stateDir);
  });

  test("sums the counters of all CPUs", async () => {
    const host = new Host(shell);
    await host.apply();
    const value = [1, 2].flatMap((n) =>
      ["2", "ff", "0", "0", "0", "1", "0", "0"].map((byte, i) => (i === 0 ? `${n}` : byte)),
    );
    const map = join(host.pins, host.generation, "maps/counters");
    const processors = JSON.parse(
      execFileSync("bpftool", ["-j", "map", "lookup", "pinned", map, "key", "5", "0", "0", "0"], { encoding: "utf8" }),
    ).values.length;
    const one = value.slice(0, 8);
    execFileSync("bpftool", ["map", "update", "pinned", map, "key", "hex", "5", "0", "0", "0", "value", "hex", ...one]);
    expect((await host.status()).generations[0]?.counters.policy_skipped).toBe(processors * (2 ** 40 + 0xff01));
  });

  test.each([
    [
      "the attachment is gone",
      (host: Host) => bpftool("cgroup", "detach", host.cgroupFolder, "sock_ops", "pinned", pin(host, "track")),
      /expected to be attached to .*, found nothing$/,
    ],
    [
      "it is attached twice",
      (host: Host) =>
        bpftool(
          "cgroup",
          "attach",
          join(host.cgroupFolder, "below"),
          "sock_ops",
          "pinned",
          pin(host, "track"),
          "multi",
        ),
      /expected to be attached to/,
    ],
    ["a map pin is gone", (host: Host) => fs.rmSync(pin(host, "sockets")), /sockets is not pinned$/],
    [
      "the pin of a map that only later versions have is gone",
      (host: Host) => fs.rmSync(pin(host, "maps/port_counters")),
      /^\S+: maps\/port_counters is not pinned$/,
    ],
    [
      "a pin of the guard's maps is gone",
      (host: Host) => fs.rmSync(pin(host, "maps/past")),
      /maps\/past is not pinned$/,
    ],
    [
      "the pin of the policies is gone",
      (host: Host) => fs.rmSync(pin(host, "maps/policies")),
      /policies is not pinned$/,
    ],
    ["the pin of the knobs is gone", (host: Host) => fs.rmSync(pin(host, "maps/knobs")), /maps\/knobs is not pinned$/],
    ["a program pin is gone", (host: Host) => fs.rmSync(pin(host, "redirect")), /redirect is not pinned$/],
    [
      "the verdict is detached",
      (host: Host) => fs.rmSync(pin(host, "verdict")),
      /the verdict is not attached to the sockhash$/,
    ],
    [
      "it was drained by hand",
      (host: Host) => host.raw("drain", "--instance", host.instance, "--state-dir", host.stateDir),
      /drain is 1, declared 0$/,
    ],
    ["its queue bytes were set by hand", (host: Host) => setKnob(host, 2), /queue bytes are 1, declared 0$/],
    ["its refresh seconds were set by hand", (host: Host) => setKnob(host, 4), /refresh seconds are 1, declared 0$/],
    [
      "the current link is gone",
      (host: Host) => fs.rmSync(join(host.home, "current")),
      /^current is nothing, not the serving generation$/,
    ],
    ["everything is unpinned", (host: Host) => host.verb("detach"), /^nothing is attached$/],
  ] as const)("says what differs when %s, and the next apply puts it right", async (_, change, problem) => {
    const host = new Host(shell);
    await host.apply();
    await change(host);
    const { healthy, problems } = await host.status();
    expect({ healthy, isSaid: problems.some((said) => problem.test(said)), problems }).toMatchObject({
      healthy: false,
      isSaid: true,
    });
    expect(await host.apply()).toMatchObject({ code: 0 });
    expect((await host.status()).problems).toEqual([]);
  });

  test.each([
    [
      "a file changed",
      (host: Host) => fs.appendFileSync(join(host.home, host.generation, "flows.bpf.o"), "x"),
      ["object"],
    ],
    ["the sockhash's pin is gone", (host: Host) => fs.rmSync(pin(host, "sockets")), ["map", "track", "redirect"]],
    ["the pin of a later map is gone", (host: Host) => fs.rmSync(pin(host, "maps/taps")), ["track", "redirect"]],
    ["the sk_msg program's pin is gone", (host: Host) => fs.rmSync(pin(host, "redirect")), ["redirect", "verdict"]],
    ["the verdict is detached", (host: Host) => fs.rmSync(pin(host, "verdict")), ["verdict"]],
    ["it was drained by hand", (host: Host) => host.verb("drain"), ["policy"]],
    ["its queue bytes were set by hand", (host: Host) => setKnob(host, 2), ["policy"]],
    ["its refresh seconds were set by hand", (host: Host) => setKnob(host, 4), ["policy"]],
    [
      "the attachment is gone",
      (host: Host) => bpftool("cgroup", "detach", host.cgroupFolder, "sock_ops", "pinned", pin(host, "track")),
      ["attach"],
    ],
  ] as const)(
    "reports each step's epoch, plus one where %s, until the step has run again",
    async (_, change, drifted) => {
      const host = new Host(shell);
      const steps = ["object", "map", "track", "redirect", "verdict", "selftest", "policy", "attach"];
      const epochs = (of: (step: string) => number) => Object.fromEntries(steps.map((step) => [step, of(step)]));
      await host.apply();
      expect((await host.status()).epochs).toEqual(epochs(() => 0));
      await change(host);
      const found = (await host.status()).epochs;
      expect(found).toEqual(epochs((step) => (drifted.some((one) => one === step) ? 1 : 0)));
      expect(await host.apply("--epoch", "1")).toMatchObject({ code: 0 });
      expect((await host.status()).epochs).toEqual(epochs(() => 1));
    },
  );

  test("goes on with the other instances when one cannot be looked at, and fails for that one alone", async () => {
    const [one, two] = [new Host(shell), new Host(shell)];
    await one.apply();
    await one.apply("--instance", two.instance, "--cgroup", two.cgroup);
    makeUnreadable(pin(two, `../${one.generation}/maps/counters`));
    const all = await one.raw("status", "--json", "--state-dir", one.stateDir);
    expect(all).toMatchObject({ code: 0, stderr: expect.stringContaining("maps/counters failed: ") });
    expect(all.stderr).toContain(
      `instance ${two.instance}: looking at it failed for the reason above; the other instances follow\n`,
    );
    const answers: Status[] = JSON.parse(all.stdout);
    const problem = `looking at it failed; 'socket-bypass status --instance ${two.instance}' says why`;
    expect(answers.find(({ instance }) => instance === two.instance)?.problems).toEqual([problem]);
    expect(answers.find(({ instance }) => instance === one.instance)).toMatchObject({ healthy: true, problems: [] });
    const alone = await one.raw("status", "--json", "--instance", two.instance, "--state-dir", one.stateDir);
    expect(alone).toMatchObject({ code: 1, stdout: "", stderr: expect.stringContaining("maps/counters failed: ") });
    await one.raw("remove", "--instance", two.instance, "--state-dir", one.stateDir);
  });

  test("is healthy again once the next attach has found, drained and detached programs whose pins are gone", async () => {
    const host = new Host(shell);
    await host.apply();
    fs.rmSync(host.pins, { recursive: true });
    const { code, stderr } = await host.apply();
    expect({ code, stderr }).toEqual({
      code: 0,
      stderr: expect.stringMatching(
        /^socket-bypass: note: \S+: expected sock_ops program \d+ to be pinned, found its pins gone; it is drained and detached\n$/,
      ),
    });
    expect(attachments(host.cgroupFolder)).toEqual(["track_sockets"]);
    expect(await host.status()).toMatchObject({ healthy: true, problems: [] });
    fs.rmSync(host.pins, { recursive: true });
    expect(await host.verb("remove")).toMatchObject({ code: 0 });
    expect(host.traces()).toEqual([]);
  });

  test("is valid JSON whatever the records hold", async () => {
    const host = new Host(shell);
    await host.apply();
    fs.rmSync(join(host.pins, "owner"));
    fs.symlinkSync('a"b\\c\td\u0001e\n/x', join(host.pins, "owner"));
    expect((await host.status()).owner).toContain('a"b\\c d\u0001e');
    fs.rmSync(join(host.pins, "owner"));
    fs.symlinkSync(host.owner, join(host.pins, "owner"));
  });

  test("fails for an unknown instance", async () => {
    const host = new Host(shell);
    const answer = await host.raw("status", "--instance", "nobody", "--state-dir", host.stateDir);
    expect(answer).toMatchObject({ code: 1, stdout: "" });
    expect(answer.stderr).toContain("instance nobody: expected it in ");
  });
});

const pin = (host: Host, name: string) => join(host.pins, host.generation, name);
const bpftool = (...args: string[]) => execFileSync("bpftool", args);
