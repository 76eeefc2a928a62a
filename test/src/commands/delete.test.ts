// SPDX-License-Identifier: Apache-2.0
import * as fs from "node:fs";
import * as path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { deleteLine, deleteStepLine } from "../../../src/commands/delete";
import { runLine, shells } from "./shells";

const instance = "no-such-instance-0a1b2c3d";
const owner = "p/s/it's $(x)/web1";
let folder = "";

beforeEach(() => {
  folder = fs.mkdtempSync("/var/lib/socket-bypass undo-");
});
afterEach(() => fs.rmSync(folder, { recursive: true }));

/**
 * Runs the line as this user: a function stands in for the `id` that the line asks. A stand-in on
 * PATH would not do, because some shells have an `id` of their own.
 */
function runAs(user: number, shell: readonly string[], line: string) {
  return runLine(shell, `id() { echo ${user}; }; ${line}`);
}

const makers = [
  ["of the first step", deleteLine],
  ["of another step", deleteStepLine],
] as const;

describe.each(shells)("%s", (_, shell) => {
  test.each(makers)("the line %s runs the script that is there with these words, and exits as it does", (_, make) => {
    fs.mkdirSync(path.join(folder, instance));
    fs.writeFileSync(path.join(folder, instance, "socket-bypass"), `printf '%s\\n' "$@"; exit 7\n`);
    const line = make({ stateDir: folder, instance, owner }, "program", "unload", "track");
    expect(runAs(0, shell, line)).toEqual({
      code: 7,
      stdout: `${["program", "unload", "track", "--instance", instance, "--state-dir", folder, "--owner", owner].join("\n")}\n`,
      stderr: "",
    });
  });
});

describe.each(shells)("of the first step, %s", (_, shell) => {
  const line = (...words: string[]) => deleteLine({ stateDir: folder, instance, owner }, ...words);

  test("if nothing is there, it succeeds with a note", () => {
    expect(runAs(0, shell, line("detach"))).toEqual({
      code: 0,
      stdout: "",
      stderr: `socket-bypass: ${folder}/${instance}/socket-bypass: expected the script that removes it, found none, nor anything pinned; nothing to do\n`,
    });
  });

  test("it fails for any user but root, who alone can see what is there", () => {
    expect(runAs(1000, shell, line("detach"))).toEqual({
      code: 1,
      stdout: "",
      stderr: "socket-bypass: expected to run as root, found another user; set become\n",
    });
  });

  // A file stands in for the list of mounts, so no real bpffs is needed; test/host/script uses the
  // real one.
  test("if the script is gone but pins are there, it fails and says what to type", () => {
    const pins = path.join(folder.replace(" ", "-"), "bpf");
    fs.mkdirSync(path.join(pins, "socket-bypass", instance, "3f2a9c000000"), { recursive: true });
    try {
      const mounts = path.join(path.dirname(pins), "mounts");
      fs.writeFileSync(mounts, `cgroup2 /cg cgroup2 rw 0 0\nproc /proc proc rw 0 0\nbpf ${pins} bpf rw 0 0\n`);
      expect(runAs(0, shell, line("detach").replace("/proc/mounts", mounts))).toEqual({
        code: 1,
        stdout: "",
        stderr: [
          `socket-bypass: ${folder}/${instance}/socket-bypass: expected the script that removes it, found none, but ${pins}/socket-bypass/${instance}`,
          `copy dist/host of the package to this host, and type there as root: sh dist/host/socket-bypass remove --instance ${instance} --state-dir ${folder}`,
          "",
        ].join("\n"),
      });
    } finally {
      fs.rmSync(path.dirname(pins), { recursive: true });
    }
  });
});

describe.each(shells)("of a step that is not the first, %s", (_, shell) => {
  const line = (...words: string[]) => deleteStepLine({ stateDir: folder, instance, owner }, ...words);

  test("if nothing is there, it succeeds silently for any user, because the first step's line reports what is left", () => {
    for (const user of [0, 1000])
      expect(runAs(user, shell, line("detach"))).toEqual({ code: 0, stdout: "", stderr: "" });
  });

  test("a script below a folder that others may write to is left to the first step's line", () => {
    const place = path.join(folder, instance);
    fs.mkdirSync(place);
    fs.writeFileSync(path.join(place, "socket-bypass"), "echo ran\n");
    fs.chmodSync(place, 0o777);
    expect(runAs(0, shell, line("detach"))).toEqual({ code: 0, stdout: "", stderr: "" });
    expect(runAs(0, shell, deleteLine({ stateDir: folder, instance, owner }, "detach")).stderr).toContain(
      "expected root to own it and nobody else to write to it",
    );
  });
});

test.each(makers)("the line %s is a single line without a generation, so an upgrade does not change it", (_, make) => {
  const text = make({ stateDir: "/var/lib/socket-bypass", instance, owner }, "detach");
  expect(text).toContain(`exec sh "$s" detach --instance ${instance} --owner 'p/s/it'\\''s $(x)/web1'`);
  expect(text).not.toMatch(/--generation|--state-dir|\n/);
});
