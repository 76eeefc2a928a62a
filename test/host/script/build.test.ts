// SPDX-License-Identifier: Apache-2.0
import { execFileSync, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";

const root = resolve(__dirname, "../../..");
let whole = "";
let folder = "";

beforeEach(() => {
  whole = fs.mkdtempSync(join(tmpdir(), "socket-bypass-parts-"));
  folder = join(whole, "host");
  for (const name of ["host/script", "host/build", "host/kernels.deny", "package.json"])
    fs.cpSync(join(root, name), join(whole, name), { recursive: true });
});
afterEach(() => fs.rmSync(whole, { recursive: true }));

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

test("the script knows the version of package.json, and is not built without one", () => {
  fs.writeFileSync(join(whole, "package.json"), '{\n  "version": "7.8.9-rc.1",\n}\n');
  expect(build().status).toBe(0);
  for (const name of ["socket-bypass", "for-pods/socket-bypass"])
    expect(execFileSync("dash", [join(folder, "out", name), "version"], { encoding: "utf8" })).toBe("7.8.9-rc.1\n");
  fs.writeFileSync(join(whole, "package.json"), "{}\n");
  expect(build()).toMatchObject({
    status: 1,
    stderr: "host/build/script.sh: package.json: expected a version, found none\n",
  });
});
