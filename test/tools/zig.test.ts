// SPDX-License-Identifier: Apache-2.0
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { temporaryFolder } from "./ensure.js";

// The real compiler is 80 MB, so this uses an empty wheel of its name, and pip without a network.
test.each([true, false])("pip installs the compiler only if its wheel has the pinned digest (%j)", (isRight) => {
  const folder = temporaryFolder();
  const wheel = join(folder, "ziglang-0.17.1-py3-none-any.whl");
  const write = `
import sys, zipfile
with zipfile.ZipFile(sys.argv[1], "w") as wheel:
    wheel.writestr("ziglang/__init__.py", "")
    info = "ziglang-0.17.1.dist-info/"
    wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\\nName: ziglang\\nVersion: 0.17.1\\n")
    wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    wheel.writestr(info + "RECORD", "")
`;
  execFileSync("python3", ["-c", write, wheel]);
  fs.mkdirSync(join(folder, "host/build"), { recursive: true });
  fs.copyFileSync("host/build/zig.sh", join(folder, "host/build/zig.sh"));
  const pins = fs.readFileSync("host/build/zig.txt", "utf8");
  const digest = createHash("sha256").update(fs.readFileSync(wheel)).digest("hex");
  fs.writeFileSync(
    join(folder, "host/build/zig.txt"),
    isRight ? pins.replace(/sha256:[0-9a-f]{64}/, `sha256:${digest}`) : pins,
  );
  const env = {
    ...process.env,
    ...{
      XDG_CACHE_HOME: join(folder, "cache"),
      PIP_NO_INDEX: "1",
      PIP_FIND_LINKS: folder,
      here: join(folder, "host/build"),
    },
  };
  fs.mkdirSync(join(folder, "cache/socket-bypass"), { recursive: true });
  const { status, stderr } = spawnSync("sh", ["-euc", ". host/build/zig.sh; install_zig"], {
    cwd: folder,
    env,
    encoding: "utf8",
  });
  const installed = fs.readdirSync(join(folder, "cache/socket-bypass"));
  if (isRight) {
    expect([status, installed]).toEqual([0, [expect.stringMatching(/^zig-[0-9a-f]{16}$/)]]);
  } else {
    expect(status).not.toBe(0);
    expect(stderr).toContain("THESE PACKAGES DO NOT MATCH THE HASHES");
    expect(installed).toEqual([]);
  }
});
