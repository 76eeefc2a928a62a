// SPDX-License-Identifier: Apache-2.0
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, expect, test } from "vitest";
import { Host, isSkipped, removeTool, run, shellFolder, shells, writeTool } from "../../support/host.js";

describe.skipIf(isSkipped).each(shells)("under %s", (shell) => {
  test("a drain ends in time although the clock is set back all the while", async () => {
    const host = new Host(shell);
    await host.apply();
    // Two of the sockets of flows.py hold unread bytes, which the drain waits for.
    const { stdout } = host.start("python3", join(__dirname, "flows.py"));
    await createInterface({ input: stdout ?? process.stdin })
      [Symbol.asyncIterator]()
      .next();
    const count = join(host.toolFolder, "count");
    writeTool(host, "date", `echo >>${count}; echo $((1000000 - 100 * $(grep -c "" ${count})))`);
    const line = [join(shellFolder(shell), "sh"), join(host.bundle, "socket-bypass"), "drain"];
    const flags = [...host.common.slice(0, 4), "--drain-seconds", "1"];
    // The time limit only ends a hang.
    const answer = await run("timeout", ["-k", "5", "60", ...line, ...flags], host.env);
    expect(answer).toMatchObject({ code: 0, stderr: "" });
    expect(answer.stdout).toMatch(/^done left=\d+ unread=[1-9]\d*\n$/);
    removeTool(host, "date");
  });
});
