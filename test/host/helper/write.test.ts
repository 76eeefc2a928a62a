// SPDX-License-Identifier: Apache-2.0
import { spawn, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { build, isUnprivileged, makeFolder, waitUntil } from "./probe.js";

const probe = build();
const nobody = 65534;

function write(folder: string, text: string) {
  return spawnSync(probe, ["write", folder, "a.prom"], { input: text, encoding: "utf8" });
}

describe.skipIf(isUnprivileged)("writing into another user's folder", () => {
  test("writes the whole file, readable for all, and replaces what had its name", () => {
    const folder = makeFolder();
    const elsewhere = join(makeFolder(), "elsewhere");
    fs.writeFileSync(elsewhere, "as it was");
    fs.symlinkSync(elsewhere, join(folder, "a.prom"));
    for (const text of ["x".repeat(100_000), ""]) {
      expect(write(folder, text)).toMatchObject({ status: 0, stderr: "" });
      expect(fs.readFileSync(join(folder, "a.prom"), "utf8")).toBe(text);
    }
    expect(fs.statSync(join(folder, "a.prom")).mode & 0o777).toBe(0o644);
    expect([fs.readdirSync(folder), fs.readFileSync(elsewhere, "utf8")]).toEqual([["a.prom"], "as it was"]);
  });

  test("touches no file of root's that the folder's owner links under the name of the file being written", async () => {
    const folder = makeFolder();
    fs.chownSync(folder, nobody, nobody);
    const victim = join(makeFolder(), "victim");
    fs.writeFileSync(victim, "as it was", { mode: 0o600 });
    const writer = spawn(probe, ["write", folder, "a.prom"], { stdio: ["pipe", "ignore", "inherit"] });
    const ended = new Promise((done) => writer.on("close", done));
    writer.stdin.write("first\n");
    await waitUntil("a file being written", () => fs.readdirSync(folder).length === 1);
    const swap = `cd ${folder} && for f in *; do rm "$f" && ln -s ${victim} "$f"; done`;
    expect(spawnSync("sh", ["-c", swap], { uid: nobody, gid: nobody }).status).toBe(0);
    writer.stdin.end("second\n");
    await ended;
    expect(fs.readFileSync(victim, "utf8")).toBe("as it was");
    expect(fs.statSync(victim)).toMatchObject({ uid: 0, mode: 0o100600 });
  });

  test("follows no link in the path of the folder, and says so", () => {
    const folder = makeFolder();
    const link = join(makeFolder(), "link");
    fs.symlinkSync(folder, link);
    for (const path of [link, join(link, "below")]) {
      expect(write(path, "x")).toMatchObject({
        status: 1,
        stderr: `probe: write: ${path}: expected a folder, and no link on the way to it, found ENOTDIR\n`,
      });
    }
    expect(fs.readdirSync(folder)).toEqual([]);
  });

  test("says that a disk is full, and leaves nothing of the file", () => {
    const folder = makeFolder();
    const line = `mount -t tmpfs -o size=64k tmpfs ${folder} && ${probe} write ${folder} a.prom; ls -A ${folder}`;
    const ended = spawnSync("unshare", ["-m", "sh", "-c", line], { input: "x".repeat(100_000), encoding: "utf8" });
    expect(ended.stderr).toBe(`probe: write: ${folder}: expected to write a file there, found ENOSPC\n`);
    expect(ended.stdout).toBe("");
  });
});
