// SPDX-License-Identifier: Apache-2.0

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { copyOf, Host, isSkipped, shells, writeTool } from "../../support/host.js";

/** The length of the longest line. Pulumi's command provider hangs at one of 65,536 bytes. */
const longest = (said: string) => Math.max(...said.split("\n").map((line) => Buffer.byteLength(line)));
const flood = `awk 'BEGIN { for (at = 0; at < 20000; at++) printf "0123456789"; print "" }'`;

describe.skipIf(isSkipped).each(shells)("a line of 200 KB, under %s,", (shell) => {
  test.each([
    ["on stderr", `${flood} >&2; exit 255`],
    ["on stderr, from libbpf", `printf 'libbpf: failed to load ' >&2; ${flood} >&2; exit 255`],
    ["on stdout, as an error of its own", `printf '{"error":"'; ${flood} | tr -d '\\n'; echo '"}'; exit 255`],
  ])(
    "that bpftool prints %s is reported, at least its beginning, in lines that the provider can read",
    async (_, does) => {
      const host = new Host(shell);
      writeTool(host, "bpftool", `case "$*" in *"prog load"*) ${does} ;; esac\nexec /usr/sbin/bpftool "$@"`);
      const { code, stderr, stdout } = await host.apply();
      // A kernel that does not load the programs is not supported.
      expect({ code, stdout }).toEqual({ code: 3, stdout: "" });
      expect(stderr).toMatch(/^socket-bypass: .* failed: .*0123456789/);
      expect(longest(stderr)).toBeLessThanOrEqual(4096);
    },
  );

  test("that a compiler prints is reported in lines that the provider can read, whether it fails or not", async () => {
    for (const code of [0, 1]) {
      const host = new Host(shell);
      host.bundle = copyOf(host.bundle);
      const objects = ["track", "redirect", "flows"].map((name) => `cp ${host.bundle}/${name}.bpf.o "$1/" || exit`);
      writeFileSync(join(host.bundle, "build.sh"), `${flood} >&2\n${objects.join("\n")}\nexit ${code}\n`);
      const { stderr, ...ended } = await host.verb("object install", "--compile");
      expect(ended.code).toBe(code);
      expect(stderr).toContain("0123456789");
      expect(longest(stderr)).toBeLessThanOrEqual(4096);
    }
  });

  test("that an error quotes from the command line is cut as well", async () => {
    const host = new Host(shell);
    const { code, stderr } = await host.verb("object install", "--cgroup", `/${"x".repeat(100_000)}`);
    expect(code).toBe(1);
    expect(longest(stderr)).toBeLessThanOrEqual(4096);
  });
});
