// SPDX-License-Identifier: Apache-2.0
import * as fs from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { deleteLine } from "../../../src/commands/delete.js";
import { attachments, Host, isSkipped, run, shellFolder, shells, writeTool } from "../../support/host.js";

const place = "/no-bpffs";

describe.skipIf(isSkipped).each(shells)("under %s", (shell) => {
  /** Runs a verb with bpffs unmounted, and then prints how many bpffs are mounted. */
  const withoutBpffs = (host: Host, ...words: string[]) => {
    const line = 'umount -a -t bpf; sh "$0" "$@"; code=$?; grep -c " bpf " /proc/mounts; exit $code';
    const script = join(host.bundle, "socket-bypass");
    const PATH = `${shellFolder(shell)}:${process.env.PATH}`;
    return run("unshare", ["--mount", "sh", "-c", line, script, ...words, ...host.common], { ...host.env, PATH });
  };

  test("remove after an unmount of bpffs detaches what is attached, and mounts one bpffs in its place", async () => {
    const host = new Host(shell);
    await host.apply();
    const removed = await withoutBpffs(host, "remove", "--drain-seconds", "1");
    expect(removed).toMatchObject({ code: 0, stdout: "done\n1\n" });
    expect(removed.stderr).toMatch(/note: no bpffs was mounted; mounted one at \/sys\/fs\/bpf with mode=0700\n/);
    expect(removed.stderr).toContain("expected sock_ops program");
    expect(attachments(host.cgroupFolder)).toEqual([]);
    expect([fs.existsSync(host.home), fs.existsSync(place)]).toEqual([false, false]);
  });

  test.each(["drain", "resume", "adopt"])("%s after an unmount of bpffs says so, and makes nothing", async (verb) => {
    const host = new Host(shell);
    await host.apply();
    const refused = await withoutBpffs(host, verb);
    expect(refused).toMatchObject({ code: 1, stdout: "0\n" });
    expect(refused.stderr).toBe(
      `socket-bypass: bpffs: expected one, found none mounted, so nothing of ${host.instance} is pinned; type 'socket-bypass boot start --instance ${host.instance}'\n`,
    );
    expect(fs.existsSync(place)).toBe(false);
  });

  test("the next remove, or a delete line, finishes a remove that was killed while it removed its files", async () => {
    for (const next of ["remove", "object remove", "line"]) {
      const host = new Host(shell);
      await host.apply();
      const aside = join(host.stateDir, `_removed-${host.instance}`);
      writeTool(host, "rm", `case "$*" in *_removed-*) kill -9 0 ;; esac\nexec /usr/bin/rm "$@"`);
      expect(await host.verb("remove")).toMatchObject({ signal: "SIGKILL" });
      expect(fs.readdirSync(aside)).toContain("socket-bypass");
      fs.rmSync(join(host.toolFolder, "rm"));
      const line = deleteLine(
        { stateDir: host.stateDir, instance: host.instance, owner: host.owner },
        "object",
        "remove",
      );
      const sh = join(shellFolder(shell), "sh");
      const ended = next === "line" ? await run(sh, ["-c", line]) : await host.verb(next);
      expect({ next, ...ended }).toMatchObject({ next, code: 0, stdout: next === "line" ? "" : "done\n" });
      expect({ next, left: fs.existsSync(host.stateDir) }).toEqual({ next, left: false });
    }
  });

  test("what a delete line says when the script is gone but pins are there removes them, and then the line succeeds", async () => {
    const host = new Host(shell);
    await host.apply();
    fs.rmSync(host.stateDir, { recursive: true });
    const sh = join(shellFolder(shell), "sh");
    const place = { stateDir: host.stateDir, instance: host.instance, owner: host.owner };
    const line = deleteLine(place, "detach");
    const refused = await run(sh, ["-c", line]);
    expect(refused).toMatchObject({ code: 1, stdout: "" });
    expect(refused.stderr).toMatch(
      new RegExp(`found none, but /\\S*/socket-bypass/${host.instance}\\ncopy dist/host of the package`),
    );
    const [, typed = ""] = /type there as root: (.*)\n$/.exec(refused.stderr) ?? [];
    expect(typed).toMatch(/^sh dist\/host\/socket-bypass remove --instance /);
    const words = typed.replace("dist/host", host.bundle);
    expect(await run(sh, ["-c", words], host.env)).toMatchObject({ code: 0, stdout: "done\n" });
    expect(attachments(host.cgroupFolder)).toEqual([]);
    expect(await run(sh, ["-c", line])).toMatchObject({
      ...{ code: 0, stdout: "" },
      stderr: expect.stringContaining("found none, nor anything pinned; nothing to do\n"),
    });
  });
});
