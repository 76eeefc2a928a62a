// SPDX-License-Identifier: Apache-2.0
import { execFileSync, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";

const host = resolve(__dirname, "../../../host");
let folder = "";

beforeEach(() => {
  folder = fs.mkdtempSync(join(tmpdir(), "socket-bypass-parts-"));
  for (const name of ["script", "build", "kernels.deny"])
    fs.cpSync(join(host, name), join(folder, name), { recursive: true });
});
afterEach(() => fs.rmSync(folder, { recursive: true }));

const build = () => spawnSync("sh", [join(folder, "build/script.sh"), join(folder, "out")], { encoding: "utf8" });

test("the build joins the script from its parts, and a shell can read it", () => {
  expect(build()).toMatchObject({ status: 0, stderr: "" });
  for (const name of ["socket-bypass", "for-pods/socket-bypass"])
    execFileSync("dash", ["-n", join(folder, "out", name)]);
  expect(fs.readdirSync(join(folder, "out")).sort()).toEqual(["for-pods", "socket-bypass"]);
});

test("a missing part fails the build and leaves no truncated script", () => {
  fs.rmSync(join(folder, "script/lib/owner.sh"));
  const { status, stderr } = build();
  expect(status).not.toBe(0);
  expect(stderr).toContain("lib/owner.sh");
  expect(fs.existsSync(join(folder, "out/socket-bypass"))).toBe(false);
});
