// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { build, isUnprivileged, makeFolder, run, start, waitUntil } from "./probe.js";

const probe = build();

/** Starts a process that holds the lock until it is killed. */
async function hold(folder: string) {
  const holder = start(probe, "lock", folder, "5", "--", "sleep", "60");
  await waitUntil("the lock to be held", () => isHeldBy(holder.child.pid));
  return holder;
}

function isHeldBy(pid: number | undefined): boolean {
  return new RegExp(`FLOCK +ADVISORY +WRITE ${pid} `).test(readFileSync("/proc/locks", "utf8"));
}

describe("lock", () => {
  test("runs the command with its arguments, and returns its exit code and output", async () => {
    const folder = makeFolder();
    const ended = await run(probe, "lock", folder, "1", "--", "sh", "-c", 'echo "$1"; exit 7', "sh", "a  b");
    expect(ended).toEqual({ code: 7, stdout: "a  b\n", stderr: "" });
    expect(await run(probe, "lock", folder, "1", "--", "/bin/true")).toEqual({ code: 0, stdout: "", stderr: "" });
  });

  test("exits with 127 when the command does not exist", async () => {
    const ended = await run(probe, "lock", makeFolder(), "1", "--", "/nonexistent");
    expect(ended).toEqual({ code: 127, stdout: "", stderr: "probe: /nonexistent: cannot be run: ENOENT\n" });
    expect(await run(probe, "lock", makeFolder(), "1", "--", "nonexistent")).toMatchObject({ code: 127, stdout: "" });
  });

  test("makes a removed folder again, for root alone", async () => {
    const folder = join(makeFolder(), "gone");
    for (let i = 0; i < 20; i++) {
      const others = Array.from({ length: 5 }, () =>
        run(probe, "lock", folder, "20", "--", "sh", "-c", 'stat -c %a "$1"; rmdir "$1"', "sh", folder),
      );
      // A run that waited for a folder which is gone by then finds nothing to remove. The host
      // script notices that and locks again.
      for (const { stderr } of await Promise.all(others)) expect(stderr).not.toContain("expected a directory");
    }
    expect(await run(probe, "lock", folder, "1", "--", "stat", "-c", "%a", folder)).toEqual({
      code: 0,
      stdout: "700\n",
      stderr: "",
    });
  });

  test("gives up after the given time, and names the process that holds the lock", async () => {
    const folder = makeFolder();
    const { child, ended } = await hold(folder);
    expect(await run(probe, "lock", folder, "1", "--", "true")).toEqual({
      ...{ code: 1, stdout: "" },
      stderr: `probe: lock: ${folder}: not free within 1 s, held by process ${child.pid}: sleep 60\n`,
    });
    expect(await run(probe, "lock", folder, "0", "--", "true")).toMatchObject({ code: 1 });
    child.kill("SIGKILL");
    await ended;
  });

  test("is free again when its holder is killed, and then goes to a waiter", async () => {
    const folder = makeFolder();
    const { child, ended } = await hold(folder);
    const waiter = start(probe, "lock", folder, "10", "--", "echo", "mine");
    child.kill("SIGKILL");
    await ended;
    expect(await waiter.ended).toEqual({ code: 0, stdout: "mine\n", stderr: "" });
  });

  test("says that a child of an ended holder still holds it", async () => {
    const folder = makeFolder();
    // The shell ends at once, but its child keeps descriptor 9.
    const line = "sleep 60 >/dev/null 2>&1 & echo $!";
    const holder = await run(probe, "lock", folder, "1", "--", "sh", "-c", line);
    const refused = await run(probe, "lock", folder, "0", "--", "true");
    process.kill(Number(holder.stdout), "SIGKILL");
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(
      /held by process \d+, which has ended; a process that it started still holds the lock\n$/,
    );
  });

  test("is released with descriptor 9, which a shell can close for a child that outlives it", async () => {
    const folder = makeFolder();
    const line = "sleep 60 9>&- >/dev/null 2>&1 & echo $!";
    const holder = await run(probe, "lock", folder, "1", "--", "sh", "-c", line);
    const next = await run(probe, "lock", folder, "0", "--", "true");
    process.kill(Number(holder.stdout), "SIGKILL");
    expect(next).toEqual({ code: 0, stdout: "", stderr: "" });
  });

  test("admits one process at a time", async () => {
    const folder = makeFolder();
    const inside = join(folder, "inside");
    const all = Array.from({ length: 8 }, () =>
      run(probe, "lock", folder, "20", "--", "sh", "-c", 'mkdir "$1" && sleep 0.02 && rmdir "$1"', "sh", inside),
    );
    expect(await Promise.all(all)).toEqual(Array(8).fill({ code: 0, stdout: "", stderr: "" }));
  });

  test("refuses what is not a directory", async () => {
    expect(await run(probe, "lock", "/proc/version", "1", "--", "true")).toEqual({
      ...{ code: 1, stdout: "" },
      stderr: "probe: lock: /proc/version: expected a directory, found ENOTDIR\n",
    });
  });

  test.skipIf(isUnprivileged)("works on a directory of bpffs", async () => {
    const bpffs = makeFolder();
    execFileSync("mount", ["-t", "bpf", "bpf", bpffs]);
    const folder = mkdtempSync(join(bpffs, "probe-test-"));
    try {
      const { child, ended } = await hold(folder);
      expect(await run(probe, "lock", folder, "0", "--", "true")).toMatchObject({
        code: 1,
        stderr: `probe: lock: ${folder}: not free within 0 s, held by process ${child.pid}: sleep 60\n`,
      });
      child.kill("SIGKILL");
      await ended;
      expect(await run(probe, "lock", folder, "1", "--", "true")).toMatchObject({ code: 0 });
    } finally {
      rmdirSync(folder);
      execFileSync("umount", [bpffs]);
    }
  });
});
