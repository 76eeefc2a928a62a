// SPDX-License-Identifier: Apache-2.0
import { spawn } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { attachments, copyOf, Host, isSkipped, replaceProbe, shellFolder, shells } from "../../support/host.js";

describe.skipIf(isSkipped).each(shells)("the self-test under %s", (shell) => {
  test("names the failed cases, refuses, and leaves the serving generation as it was", async () => {
    const host = new Host(shell);
    await host.apply();
    standIn(
      host,
      `echo '{"ok":false,"cases":{"ipv4":{"ok":true,"bytes":1},"slow-reader":{"ok":false,"error":"x"},"rst":{"ok":false}},"facts":{}}'; exit 1`,
    );
    const { code, stdout, stderr } = await host.apply("--generation", host.nextGeneration).then(() => selftest(host));
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toContain("selftest: expected every case to pass, found slow-reader rst failed (exit 1)");
    expect(host.traces().filter((trace) => trace.includes("selftest"))).toEqual([]);
    expect(attachments(host.cgroupFolder)).toEqual(["track_sockets"]);
  });

  test("refuses when every case passes but nothing was redirected", async () => {
    const host = new Host(shell);
    standIn(host, `echo '{"ok":true,"cases":{"ipv4":{"ok":true,"bytes":1}},"facts":{}}'`);
    await host.verb("object install");
    const { code, stderr } = await selftest(host, host.generation);
    expect(code).toBe(1);
    expect(stderr).toContain("selftest: expected redirected messages, found 0 in 0 pairs");
  });

  test.each(["SIGTERM", "SIGKILL"] as const)(
    "leaves nothing behind after %s, at the latest once the next one ends",
    async (signal) => {
      const host = new Host(shell);
      standIn(host, "sleep 30");
      await host.verb("object install");
      const words = ["selftest", ...host.common, "--generation", host.generation];
      const child = spawn(join(shellFolder(shell), "sh"), [join(host.bundle, "socket-bypass"), ...words], {
        env: host.env,
        detached: true,
        stdio: "ignore",
      });
      const ended = new Promise((done) => child.on("close", (code, by) => done(code ?? by)));
      const isRunning = () => host.traces().some((trace) => trace.startsWith("socket-bypass-selftest-"));
      for (let tries = 0; !isRunning() && tries < 200; tries++) await new Promise((wake) => setTimeout(wake, 50));
      await new Promise((wake) => setTimeout(wake, 500));
      expect(fs.readdirSync(join(host.pins, "selftest"))).toContain("verdict");
      // The signal goes to the whole group, as that of timeout(1) does.
      process.kill(-(child.pid ?? 0), signal);
      expect(await ended).toBe(signal === "SIGTERM" ? 143 : "SIGKILL");
      const left = () => host.traces().filter((trace) => trace.includes("selftest"));
      if (signal === "SIGTERM") expect(left().filter((trace) => !trace.includes("serials"))).toEqual([]);
      expect(await host.verb("selftest", "--off")).toMatchObject({ code: 0, stderr: "" });
      expect(left().filter((trace) => !trace.includes("serials"))).toEqual([]);
    },
  );
});

const selftest = (host: Host, generation = host.nextGeneration) => host.verb("selftest", "--generation", generation);

/** Replaces the probe by one whose self-test runs this body. */
function standIn(host: Host, body: string): void {
  host.bundle = copyOf(host.bundle);
  replaceProbe(host.bundle, `if [ "$1" = selftest ]; then\n${body}\nexit\nfi`);
}
