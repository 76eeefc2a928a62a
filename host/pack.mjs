// SPDX-License-Identifier: Apache-2.0
// node pack.mjs DIR: writes DIR/prebuilt-MACHINE.gz and DIR/target-MACHINE.gz, what a host of that type is sent, from the parts in DIR. zopfli makes of the same bytes
// 6 % less than gzip, for a second of time, so it is done once here and not in every preview. And DIR/pod/*.gz, what a ConfigMap brings to pods.
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";

const [, , folder = "dist/host"] = process.argv;
const { packageArchive } = createRequire(import.meta.url)("../bin/host/bundle.js");

for (const name of ["prebuilt-x86_64", "prebuilt-aarch64", "target-x86_64", "target-aarch64"]) {
  const tar = join(folder, name);
  writeFileSync(tar, packageArchive(...name.split("-")));
  pack(tar);
}
mkdirSync(join(folder, "pod"), { recursive: true });
const names = readdirSync(folder).filter((file) => /^(socket-bypass|(probe|pod)-\w+|\w+\.bpf\.o)$/.test(file));
for (const packed of readdirSync(join(folder, "pod"))) {
  if (!names.includes(packed.replace(/\.gz$/, ""))) rmSync(join(folder, "pod", packed)); // of an earlier version
}
for (const name of names) {
  const [file, packed] = [join(folder, "pod", name), join(folder, "pod", `${name}.gz`)];
  const source = join(folder, name.startsWith("probe-") ? "for-pods" : "", name);
  if (existsSync(packed) && gunzipSync(readFileSync(packed)).equals(readFileSync(source))) continue;
  copyFileSync(source, file);
  pack(file);
}

/** FILE becomes FILE.gz. */
function pack(file) {
  const { error, status } = spawnSync("zopfli", ["--gzip", file], { stdio: ["ignore", "inherit", "inherit"] });
  rmSync(file);
  if (error || status !== 0) {
    console.error(
      `host/pack.mjs: expected zopfli on PATH to succeed, found ${error?.message ?? `exit ${status}`}; install it`,
    );
    process.exit(1);
  }
}
