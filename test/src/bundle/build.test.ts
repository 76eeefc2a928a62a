// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, readdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { temporaryFolder } from "../../support/host.js";

const root = resolve(__dirname, "../../..");

test("a build removes the object of a program whose source is gone, and keeps all others", () => {
  const folder = temporaryFolder();
  cpSync(join(root, "dist/host"), folder, { recursive: true, preserveTimestamps: true });
  const before = [folder, join(folder, "pod")].map((place) => readdirSync(place));
  for (const name of ["gone.bpf.o", "pod/gone.bpf.o.gz"]) writeFileSync(join(folder, name), "x");
  execFileSync("sh", [join(root, "bpf/build.sh"), folder]);
  execFileSync("node", [join(root, "host/build/pack.mjs"), folder]);
  expect([folder, join(folder, "pod")].map((place) => readdirSync(place))).toEqual(before);
  expect(existsSync(join(folder, "track.bpf.o"))).toBe(true);
});
