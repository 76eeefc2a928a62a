// SPDX-License-Identifier: Apache-2.0
/**
 * What the pages say of the size of the files, against what was built: `KB` are thousands of bytes,
 * and a figure may be a tenth off. Not proven here: sizes of what only some hosts get.
 */
import * as fs from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { bundleFor } from "../../src/bundle/bundle";
import { largestConfigMap, podFiles } from "../../src/bundle/config-map";
import { listPages, root } from "./pages";

const built = join(root, "dist/host");
const sizeOf = (file: string) => fs.statSync(join(built, file)).size;
const { packed } = bundleFor("prebuilt", "x86_64");
/** As the pods of a pool get them that adopts connections. */
const { texts, binaries } = podFiles("prebuilt", ["adopt"]);
const leftOut = Object.fromEntries(
  ["splice_x86", "splice_arm64", "splice_waitall"].map((name) => {
    const file = `${name}.bpf.o.gz`;
    return [file, fs.readFileSync(join(built, "pod", file)).toString("base64")];
  }),
);
const unpacked = gunzipSync(packed).length;

const claims: [page: string, claim: RegExp, bytes: number][] = [
  ["docs/reference/requirements.md", /its files \((\d+) KB packed\)/g, packed.length],
  ["docs/tutorials/first-host.md", /files: (\d+) KiB sent/g, (packed.length / 1024) * 1000],
  ["docs/explanation/architecture.md", /files of a host, with the helper, have (\d+) KB packed/g, packed.length],
  ["docs/explanation/architecture.md", /has (\d+) KB on x86_64/g, sizeOf("probe-x86_64")],
  ["docs/explanation/architecture.md", /and (\d+) KB on aarch64/g, sizeOf("probe-aarch64")],
  ["docs/explanation/architecture.md", /build for pods has (\d+) KB/g, sizeOf("for-pods/probe-x86_64")],
  ["docs/explanation/architecture.md", /build for pods has \d+ KB and (\d+) KB/g, sizeOf("for-pods/probe-aarch64")],
  [
    "docs/explanation/architecture.md",
    /largest ConfigMap of a pool has (\d+) KB/g,
    JSON.stringify({ texts, binaries }).length,
  ],
  ["docs/explanation/node-pools.md", /files of a pool may have (\d+) KB/g, largestConfigMap],
  [
    "docs/explanation/node-pools.md",
    /largest ConfigMap would have (\d+) KB/g,
    JSON.stringify({ texts, binaries: { ...binaries, ...leftOut } }).length,
  ],
  // A host keeps a second copy of the script (host/script/verbs/object-install.sh).
  ["docs/explanation/steps.md", /Then (\d+) KB that only root can read/g, unpacked],
  ["docs/how-to/troubleshoot-fleet.md", /(\d+) KB of files that only root/g, unpacked + sizeOf("socket-bypass")],
];

test.each(claims)("%s is right about %s", (page, claim, bytes) => {
  const text = fs.readFileSync(join(root, page), "utf8");
  const found = [...text.matchAll(claim)].map(([, figure]) => Number(figure));
  expect(found).toHaveLength(1);
  const [figure = 0] = found;
  expect(Math.abs(figure * 1000 - bytes) / bytes, `${figure} KB for ${bytes} bytes`).toBeLessThan(0.1);
});

test("no other page says how large the files are that are sent", () => {
  const sizes = listPages().flatMap(({ path, text }) =>
    [...text.matchAll(/\d+ Ki?B[\s)]+(?:packed|sent|of files|that only root)/g)].map(() => path),
  );
  const known = ["requirements.md", "first-host.md", "architecture.md", "steps.md", "troubleshoot-fleet.md"];
  expect(sizes.map((path) => path.replace(/^.*\//, "")).sort()).toEqual(known.sort());
});
