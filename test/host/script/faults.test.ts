// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import {
  copyOf,
  faultyBpftool,
  Host,
  isSkipped,
  removeTool,
  replaceProbe,
  run,
  shellFolder,
  shells,
  writeTool,
} from "../../support/host.js";

// A fault at every call would take half an hour, so each run takes one call in 16, and other calls
// each time. SOCKET_BYPASS_TEST_EVERY=1 takes all.
const every = Number(process.env.SOCKET_BYPASS_TEST_EVERY ?? 16);
const callsUpTo = (count: number) => {
  const first = 1 + (Math.floor(Date.now() / 1000) % every);
  return Array.from({ length: count }, (_, i) => i + 1).filter((at) => at % every === first % every);
};

// Not proven here: a kill between two bpftool calls, in the middle of a rename or a record; each of
// those is one system call.
describe.skipIf(isSkipped)("when bpftool fails, or the whole run is killed, at any call of", () => {
  const faults = ["fail", "kill before", "kill after"] as const;

  test.each(faults)(
    "apply (%s), the next apply converges, and remove leaves nothing behind",
    async (fault) => {
      const calls = await countCalls((host) => host.apply());
      expect(calls).toBeGreaterThan(25);
      for (const at of callsUpTo(calls)) {
        const host = new Host(shells[at % 2]);
        faultyBpftool(host, at, fault);
        const broken = await host.apply();
        if (fault !== "fail") expect({ at, signal: broken.signal }).toEqual({ at, signal: "SIGKILL" });
        removeTool(host, "bpftool");
        // A failure that was not fatal, because the call was repeated, has converged already.
        if (broken.code !== 0 || at % 3 !== 0) {
          expect({ at, ...(await host.apply()) }).toMatchObject({ at, code: 0, stderr: "" });
          expect({ at, ...(await host.status()) }).toMatchObject({ at, healthy: true, problems: [] });
        }
        expect({ at, ...(await host.verb("remove")) }).toMatchObject({ at, code: 0, stderr: "" });
        expect({ at, traces: host.traces() }).toEqual({ at, traces: [] });
        await host.end();
      }
    },
    600_000,
  );

  test.each(faults)(
    "the first apply (%s), remove alone leaves nothing behind",
    async (fault) => {
      const calls = await countCalls((host) => host.apply());
      for (const at of callsUpTo(calls)) {
        const host = new Host(shells[at % 2]);
        faultyBpftool(host, at, fault);
        await host.apply();
        removeTool(host, "bpftool");
        expect({ at, ...(await host.verb("remove")) }).toMatchObject({ at, code: 0 });
        expect({ at, traces: host.traces() }).toEqual({ at, traces: [] });
        await host.end();
      }
    },
    600_000,
  );

  test.each(faults)(
    "a hand-over (%s), one generation serves alone after the next apply",
    async (fault) => {
      const handOver = async (host: Host) => host.apply("--generation", host.nextGeneration);
      const calls = await countCalls(handOver, (host) => host.apply());
      for (const at of callsUpTo(calls)) {
        const host = new Host(shells[at % 2]);
        await host.apply();
        faultyBpftool(host, at, fault);
        await handOver(host);
        removeTool(host, "bpftool");
        // Half the time the user reverts instead of going on.
        const wanted = at % 4 < 2 ? host.nextGeneration : host.generation;
        expect({ at, ...(await host.apply("--generation", wanted)) }).toMatchObject({ at, code: 0, stderr: "" });
        const status = await host.status();
        expect({ at, problems: status.problems }).toEqual({ at, problems: [] });
        expect(status).toMatchObject({
          serving: wanted,
          current: wanted,
          attached: [{ generation: wanted, cgroup: host.cgroup }],
        });
        expect(status.generations.length).toBe(1);
        await host.end();
      }
    },
    600_000,
  );

  test.each(faults)(
    "remove (%s), the next remove leaves nothing behind",
    async (fault) => {
      const calls = await countCalls(
        (host) => host.verb("remove"),
        (host) => host.apply(),
      );
      expect(calls).toBeGreaterThan(4);
      for (const at of callsUpTo(calls)) {
        const host = new Host(shells[at % 2]);
        await host.apply();
        faultyBpftool(host, at, fault);
        await host.verb("remove");
        removeTool(host, "bpftool");
        await host.verb("remove");
        expect({ at, traces: host.traces() }).toEqual({ at, traces: [] });
        await host.end();
      }
    },
    600_000,
  );

  test.each(faults)(
    "the self-test (%s), nothing of it stays after the next one",
    async (fault) => {
      const prepare = async (host: Host) => {
        await host.verb("object install");
        return host.verb("map create");
      };
      const calls = await countCalls((host) => host.verb("selftest"), prepare);
      for (const at of callsUpTo(calls)) {
        const host = new Host(shells[at % 2]);
        await prepare(host);
        faultyBpftool(host, at, fault);
        const broken = await host.verb("selftest");
        // The first two calls ask for the version, before and after taking the lock. If bpftool
        // does not answer, the script takes another one.
        if (fault === "fail" && at > 2) {
          expect({ at, code: broken.code }).toEqual({ at, code: 1 });
          expect({ at, traces: host.traces().filter((trace) => trace.includes("selftest")) }).toEqual({
            at,
            traces: [],
          });
        }
        removeTool(host, "bpftool");
        expect({ at, ...(await host.verb("selftest", "--off")) }).toMatchObject({ at, code: 0, stderr: "" });
        expect({ at, traces: host.traces().filter((trace) => /selftest/.test(trace)) }).toEqual({ at, traces: [] });
        await host.end();
      }
    },
    600_000,
  );

  test.each(shells)("a step under %s, that step undoes its own half and no other", async (shell) => {
    const host = new Host(shell);
    for (const step of ["object install", "map create"]) await host.verb(step);
    writeTool(
      host,
      "bpftool",
      `case "$*" in *pinmaps*) ;; *) exec /usr/sbin/bpftool "$@" ;; esac
/usr/sbin/bpftool "$@"; exit 1`,
    );
    const before = host.traces();
    expect(await host.verb("program load track")).toMatchObject({ code: 1, stdout: "" });
    expect(host.traces().filter((trace) => !before.includes(trace))).toEqual([]);
    removeTool(host, "bpftool");
    expect(await host.verb("program load track")).toMatchObject({ code: 0 });
  });
});

async function countCalls(
  act: (host: Host) => Promise<unknown>,
  prepare?: (host: Host) => Promise<unknown>,
): Promise<number> {
  const host = new Host();
  await prepare?.(host);
  const calls = faultyBpftool(host, 0, "fail");
  await act(host);
  const count = readFileSync(calls, "utf8").trim().split("\n").length;
  await host.end();
  return count;
}

describe.skipIf(isSkipped).each(shells)("under %s", (shell) => {
  test("a map that the probe cannot read is reported in its own words", async () => {
    const host = new Host(shell);
    await host.apply();
    host.bundle = copyOf(host.bundle);
    replaceProbe(host.bundle, `[ "$1" != map ] || { echo "probe: map: $3: EPERM" >&2; exit 1; }`);
    const { code, stderr } = await host.verb("resume");
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringMatching(/^socket-bypass: reading map \S+\/maps\/knobs failed: EPERM\n$/),
    });
  });

  test("a state directory that is mounted noexec, or is full, is named with what to do about it", async () => {
    const host = new Host(shell);
    mkdirSync(host.stateDir, { recursive: true });
    const call = (verb: string) => `sh ${host.bundle}/socket-bypass ${verb} "$@"`;
    const mounted = async (options: string, ...lines: string[]) => {
      const line = [`mount -t tmpfs -o ${options},mode=0755 none ${host.stateDir}`, ...lines].join(" && ");
      const words = ["--mount", "sh", "-c", line, "sh", ...host.common, "--generation", host.generation];
      const PATH = `${shellFolder(shell)}:${process.env.PATH}`;
      const { code, stderr } = await run("unshare", words, { ...host.env, PATH });
      expect(code).toBe(1);
      return stderr.trimEnd().split("\n").at(-1);
    };
    expect(await mounted("noexec", call("object install"))).toMatch(
      /\/probe-\w+: expected a program that can run there, found the reason above; remount \S+\/state without noexec, or choose another --state-dir$/,
    );
    const fill = `{ cat /dev/zero >${host.stateDir}/filled 2>/dev/null || true; }`;
    expect(await mounted("size=4m", call("object install"), fill, call("map create"))).toMatch(
      /expected a file that holds what was written, found: .*; free space on its disk, or choose another --state-dir$/,
    );
    await host.end();
  });
});
