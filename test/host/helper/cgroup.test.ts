// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmdirSync } from "node:fs";
import { basename, join } from "node:path";
import { describe, expect, test } from "vitest";
import { findMount } from "../../../tools/setup/mounts.js";
import { build, isUnprivileged, run } from "./probe.js";

const probe = build();

describe("cgroup", () => {
  test.skipIf(isUnprivileged)("runs the command inside the cgroup and returns its exit code", async () => {
    const mount = findMount("cgroup2");
    if (!mount) throw new Error("expected a mounted cgroup v2, found none");
    const cgroup = mkdtempSync(join(mount, "probe-test-"));
    try {
      const ended = await run(probe, "cgroup", cgroup, "--", "sh", "-c", "grep ^0:: /proc/self/cgroup; exit 5");
      expect(ended).toMatchObject({ code: 5, stderr: "" });
      expect(ended.stdout).toMatch(new RegExp(`/${basename(cgroup)}\n$`));
    } finally {
      rmdirSync(cgroup);
    }
  });

  test("does not run the command if it cannot enter the cgroup", async () => {
    expect(await run(probe, "cgroup", "/nonexistent", "--", "echo", "ran")).toEqual({
      ...{ code: 1, stdout: "" },
      stderr: "probe: cgroup: /nonexistent/cgroup.procs: cannot be entered: ENOENT\n",
    });
  });
});

// Not proven here: that it waits for running BPF programs, which the kernel promises.
test("grace returns within its 30 seconds and prints nothing", async () => {
  expect(await run(probe, "grace")).toEqual({ code: 0, stdout: "", stderr: "" });
});
