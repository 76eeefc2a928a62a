// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { bundleFor, generationOf } from "../../../src/bundle/bundle";
import { compileObjects } from "../../../src/bundle/compile";

// A limit for a hang: the tests compile all objects twice.
vi.setConfig({ testTimeout: 240_000 });
const { PATH: searched, TMPDIR: temporary } = process.env;
afterEach(() => {
  process.env.PATH = searched;
  if (temporary === undefined) delete process.env.TMPDIR;
  else process.env.TMPDIR = temporary;
});

test("the objects are compiled on this machine, and no folder is left behind", () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "socket-bypass-test-"));
  process.env.TMPDIR = folder;
  const objects = compileObjects();
  expect([...objects.keys()].sort()).toEqual([
    "adopt.bpf.o",
    "flows.bpf.o",
    "redirect.bpf.o",
    ...["splice_arm64.bpf.o", "splice_fmod.bpf.o", "splice_lsm.bpf.o", "splice_waitall.bpf.o", "splice_x86.bpf.o"],
    "track.bpf.o",
  ]);
  for (const object of objects.values()) expect(object.subarray(0, 4).toString("latin1")).toBe("\x7fELF");
  expect(fs.readdirSync(folder)).toEqual([]);
  fs.rmdirSync(folder);
});

test("what the deployer compiled is sent, but the sources decide the generation, so another clang does not change it", () => {
  const size = { sockets: 65536, pendingPairs: 8192 };
  const [deployer, target] = [bundleFor("deployer", "x86_64"), bundleFor("target", "x86_64")];
  expect(deployer.identity.equals(target.identity)).toBe(true);
  expect(deployer.digest).not.toBe(target.digest);
  expect(generationOf(deployer, "deployer", size)).not.toBe(generationOf(target, "target", size));
});

test("the sources are sent as they are written and compile to the same objects", () => {
  const out = fs.mkdtempSync(path.join(os.tmpdir(), "socket-bypass-sources-"));
  try {
    execFileSync("tar", ["-xC", out], { input: bundleFor("target", "x86_64", ["adopt"]).identity });
    const sources = path.join(__dirname, "../../../bpf");
    for (const file of ["build.sh", "track.bpf.c", "adopt.bpf.c", "socket_bypass.h"])
      expect(fs.readFileSync(path.join(out, file), "utf8")).toBe(fs.readFileSync(path.join(sources, file), "utf8"));
    execFileSync("sh", [path.join(out, "build.sh"), out]);
    for (const [file, object] of compileObjects()) {
      if (file === "splice_arm64.bpf.o") continue; // not for this type of machine
      expect({ file, isSame: fs.readFileSync(path.join(out, file)).equals(object) }).toEqual({ file, isSame: true });
    }
  } finally {
    fs.rmSync(out, { recursive: true });
  }
});

test("without clang the error says what to install", () => {
  const tools = fs.mkdtempSync(path.join(os.tmpdir(), "socket-bypass-tools-"));
  try {
    for (const tool of ["sh", "dirname", "basename", "mkdir", "rm", "find", "uname"]) {
      fs.symlinkSync(path.join("/usr/bin", tool), path.join(tools, tool));
    }
    process.env.PATH = tools;
    expect(compileObjects).toThrow(/expected clang[\s\S]*found none; install clang and llvm[\s\S]*or use "prebuilt"$/);
  } finally {
    fs.rmSync(tools, { recursive: true });
  }
});
