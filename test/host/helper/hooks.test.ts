// SPDX-License-Identifier: Apache-2.0
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { findMount } from "../../../tools/setup/mounts.js";
import { build, childrenOf, isUnprivileged, makeFolder, run, waitUntil } from "./probe.js";

const probe = build();
const v2 = findMount("cgroup2");
const group = join(v2 ?? "", `test-${process.pid}-hooks`);

const python = (script: string, ...args: string[]) => execFileSync("python3", ["-c", script, group, ...args]);
/** Makes this many nested cgroups, with names of this length. */
const nest = `
import os, sys
os.chdir(sys.argv[1])
for _ in range(int(sys.argv[2])):
    os.mkdir("n" * int(sys.argv[3]))
    os.chdir("n" * int(sys.argv[3]))
`;
const remove = `
import os, sys
os.chdir(sys.argv[1])
depth = 0
while below := [entry.name for entry in os.scandir(".") if entry.is_dir()]:
    os.chmod(below[0], 0o755)
    os.chdir(below[0])
    depth += 1
for _ in range(depth):
    os.chdir("..")
    for entry in list(os.scandir(".")):
        if entry.is_dir():
            os.rmdir(entry.name)
os.rmdir(sys.argv[1])
`;

// Not proven here: that an attached program is listed with its flags and path, which
// test/host/script proves by status and preflight.
describe.skipIf(isUnprivileged || v2 === undefined)("hooks", () => {
  afterEach(() => {
    python(remove);
  });

  test.each([
    ["nested more deeply than it may have descriptors", 950, 1],
    ["with a path that is too long to use", 20, 250],
  ])("goes on past cgroups that a user has %s", async (_, depth, length) => {
    mkdirSync(group);
    python(nest, `${depth}`, `${length}`);
    expect(await run(probe, "hooks", group)).toEqual({ code: 0, stdout: "", stderr: "" });
  });

  test("goes on past a cgroup that it has no right to open", async () => {
    mkdirSync(group);
    mkdirSync(join(group, "closed"), { mode: 0 });
    execFileSync("chown", ["65534:65534", join(group, "closed")]);
    const rights = "-dac_override,-dac_read_search";
    const confined = ["--bounding-set", rights, "--inh-caps", rights, probe, "hooks", group];
    expect(await run("setpriv", ...confined)).toEqual({ code: 0, stdout: "", stderr: "" });
  });
});

describe.skipIf(isUnprivileged || v2 === undefined)("hooks, while another user makes and removes cgroups", () => {
  test("succeeds every time", async () => {
    mkdirSync(group);
    const folders = ["a", "b", "c", "d"].map((name) => join(group, name));
    for (const folder of folders) mkdirSync(folder);
    execFileSync("chown", ["65534:65534", ...folders]);
    const child = spawn("python3", [join(__dirname, "churn.py"), ...folders], { stdio: ["pipe", "pipe", "inherit"] });
    const ended = once(child, "close");
    try {
      let said = "";
      child.stdout.on("data", (text) => {
        said += text;
      });
      await waitUntil("all to have begun", () => said === "ready\n".repeat(folders.length));
      for (let i = 0; i < 40; i++) {
        expect(await run(probe, "hooks", group)).toEqual({ code: 0, stdout: "", stderr: "" });
      }
    } finally {
      for (const pid of childrenOf(child.pid)) process.kill(pid, "SIGKILL");
      child.kill("SIGKILL");
      await ended;
      execFileSync("find", [group, "-depth", "-type", "d", "-exec", "rmdir", "{}", "+"]);
    }
  });
});

test("hooks says which folder it cannot list", async () => {
  const folder = join(makeFolder(), "none");
  expect(await run(probe, "hooks", folder)).toEqual({
    code: 1,
    stdout: "",
    stderr: `probe: hooks: ${folder}: ENOENT\n`,
  });
});
