// SPDX-License-Identifier: Apache-2.0
// node pack.mjs DIR: packs the parts in DIR. DIR/prebuilt-MACHINE.tar.gz and
// DIR/target-MACHINE.tar.gz are sent to hosts of that machine type. DIR/pod/*.gz are the files in
// the ConfigMap of a pool; zopfli packs them, because its output is 6 % smaller than that of gzip
// and a ConfigMap has little room (src/bundle/config-map.ts).
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";

const [, , folder = "dist/host"] = process.argv;
const { packageArchive, packNow } = createRequire(import.meta.url)("../../bin/bundle/bundle.js");

for (const name of ["prebuilt-x86_64", "prebuilt-aarch64", "target-x86_64", "target-aarch64"])
  writeFileSync(join(folder, `${name}.tar.gz`), packNow(packageArchive(...name.split("-"))));
mkdirSync(join(folder, "pod"), { recursive: true });
const names = readdirSync(folder).filter((file) => /^(socket-bypass|probe-\w+|\w+\.bpf\.o)$/.test(file));
for (const packed of readdirSync(join(folder, "pod"))) {
  // An earlier version left this file.
  if (!names.includes(packed.replace(/\.gz$/, ""))) rmSync(join(folder, "pod", packed));
}
for (const name of names) {
  const [file, packed] = [join(folder, "pod", name), join(folder, "pod", `${name}.gz`)];
  const source = join(folder, /^(probe-|socket-bypass)/.test(name) ? "for-pods" : "", name);
  if (existsSync(packed) && gunzipSync(readFileSync(packed)).equals(readFileSync(source))) continue;
  copyFileSync(source, file);
  pack(file);
}

/** Replaces FILE by FILE.gz. */
function pack(file) {
  const { error, status } = spawnSync("zopfli", ["--gzip", file], { stdio: ["ignore", "inherit", "inherit"] });
  rmSync(file);
  if (error || status !== 0) {
    console.error(
      `host/build/pack.mjs: zopfli: expected exit 0, found ${error?.message ?? `exit ${status}`}; install it`,
    );
    process.exit(1);
  }
}
