// SPDX-License-Identifier: Apache-2.0
import { symlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Host, isSkipped, shells, temporaryFolder } from "../../support/host.js";

describe.skipIf(isSkipped).each(shells)("under %s", (shell) => {
  test("text that another user chose is printed on one line, without terminal control characters", async () => {
    const host = new Host(shell);
    const link = join(temporaryFolder(), "link");
    symlinkSync("a\u001b[2J\n\u009bb\u007fü", link);
    const { code, stderr } = await host.apply("--state-dir", join(link, "state"));
    expect(code).toBe(1);
    expect(stderr).toMatch(/-> a\?\[2J\?+b\?/);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there.
    expect(stderr).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
  });
});
