// SPDX-License-Identifier: Apache-2.0

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { copyOf, Host, isSkipped, shells, writeTool } from "../../support/host.js";

/**
 * Of the lines that a step says; Pulumi's command provider stands still behind one of 65,536 bytes.
 */
const longest = (said: string) => Math.max(...said.split("\n").map((line) => Buffer.byteLength(line)));
const flood = `awk 'BEGIN { for (at = 0; at < 20000; at++) printf "0123456789"; print "" }'`;

describe.skipIf(isSkipped).each(shells)("a line of 200 KB, under %s,", (shell) => {
  test.each([
    ["on stderr", `${flood} >&2; exit 255`],
    ["on stderr, of libbpf", `printf 'libbpf: failed to load ' >&2; ${flood} >&2; exit 255`],
    ["on stdout, as an error of its own", `printf '{"error":"'; ${flood} | tr -d '\\n'; echo '"}'; exit 255`],
  ])("that bpftool says %s is told, its beginning at least, in lines that the provider reads", async (_, does) => {
    const host = new Host(shell);
    writeTool(host, "bpftool", `case "$*" in *"prog load"*) ${does} ;; esac\nexec /usr/sbin/bpftool "$@"`);
    const { code, stderr, stdout } = await host.apply();
    // A kernel that takes no program is none of ours.
    expect({ code, stdout }).toEqual({ code: 3, stdout: "" });
    expect(stderr).toMatch(/^socket-bypass: .* failed: .*0123456789/);
    expect(longest(stderr)).toBeLessThanOrEqual(4096);
  });

  test("that a compiler says is told in lines that the provider reads, whether it fails or not", async () => {
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

  test("that names what does not exist is cut as well", async () => {
    const host = new Host(shell);
    const { code, stderr } = await host.verb("object install", "--cgroup", `/${"x".repeat(100_000)}`);
    expect(code).toBe(1);
    expect(longest(stderr)).toBeLessThanOrEqual(4096);
  });
});
