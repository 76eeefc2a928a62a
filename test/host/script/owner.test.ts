// SPDX-License-Identifier: Apache-2.0
import * as fs from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { attachments, Host, isSkipped, readLink, run, shellFolder, shells, writeTool } from "../../support/host.js";

const link = "/usr/local/sbin/socket-bypass";

describe.skipIf(isSkipped).each(shells)("under %s", (shell) => {
  test("another stack's create is refused with advice, and takes over when told to", async () => {
    const host = new Host(shell);
    await host.apply();
    const stranger = ["--owner", "project/other/component/web1"];
    const refused = await host.verb("map create", ...stranger);
    expect(refused).toMatchObject({ code: 1, stdout: "" });
    expect(refused.stderr).toBe(
      `socket-bypass: instance ${host.instance}: expected owner project/other/component/web1, found ${host.owner}; ` +
        `type 'socket-bypass remove --instance ${host.instance}', or say --take-over (takeOver: true)\n`,
    );
    expect(await host.apply(...stranger, "--take-over")).toMatchObject({ code: 0 });
    expect(await host.status()).toMatchObject({ healthy: true, owner: "project/other/component/web1" });
  });

  test("the same stack takes over under a new key, and the old key's deletes then leave it alone", async () => {
    const host = new Host(shell);
    await host.apply();
    const renamed = "project/stack/component/web9";
    expect(await host.apply("--owner", renamed)).toMatchObject({ code: 0 });
    for (const words of ["detach", "verdict detach", "program unload track", "map remove", "object remove", "remove"]) {
      const answer = await host.verb(words);
      expect(answer).toMatchObject({ code: 0, stdout: "left alone\n" });
      expect(answer.stderr).toContain(`belongs to ${renamed}, not to ${host.owner}; left alone`);
    }
    expect(await host.status()).toMatchObject({ healthy: true, owner: renamed });
    expect(await host.verb("remove", "--force")).toMatchObject({ code: 0, stdout: "done\n" });
    expect(host.traces()).toEqual([]);
  });

  test("the owner is known even if bpffs is empty, as after a reboot", async () => {
    const host = new Host(shell);
    await host.apply();
    await host.verb("detach");
    expect(fs.existsSync(host.pins)).toBe(false);
    expect(await host.verb("object remove", "--owner", "a/b/c/d")).toMatchObject({ code: 0, stdout: "left alone\n" });
    expect(fs.existsSync(host.home)).toBe(true);
  });

  test.each(["", "/below", "/"])(
    "a second instance on the same cgroup, below or above (%s) is refused by name",
    async (place) => {
      const first = new Host(shell);
      await first.apply();
      const second = new Host(shell);
      const cgroup = place === "/" ? "/" : first.cgroup + place;
      for (const answer of [
        await second.verb("preflight", "--cgroup", cgroup),
        await second.apply("--cgroup", cgroup),
      ]) {
        expect(answer).toMatchObject({ code: 1, stdout: "" });
        expect(answer.stderr).toContain(
          `found ${first.instance} on ${first.cgroup}; type 'socket-bypass remove --instance ${first.instance}'`,
        );
      }
      expect(second.traces()).toEqual([]);
      expect(await first.status()).toMatchObject({ healthy: true });
    },
  );

  test("a second instance that takes over drains and unpins the first", async () => {
    const [first, second] = [new Host(shell), new Host(shell)];
    await first.apply();
    expect(await second.apply("--cgroup", first.cgroup, "--take-over")).toMatchObject({ code: 0 });
    expect(fs.existsSync(first.pins)).toBe(false);
    expect(attachments(first.cgroupFolder)).toEqual(["track_sockets"]);
    expect(await second.status()).toMatchObject({ healthy: true, cgroup: first.cgroup });
    expect(await first.verb("remove")).toMatchObject({ code: 0, stderr: "" });
    expect(attachments(first.cgroupFolder)).toEqual(["track_sockets"]);
  });

  test("links, foreign owners and folders that others can write to are refused, because others could have put them there", async () => {
    const host = new Host(shell);
    await host.apply();
    const loose = join(host.pins, host.generation);
    fs.chmodSync(loose, 0o777);
    const refused = await host.verb("map create");
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain(
      `${loose}: expected root's own, not writable by others (sticky or not), and no link; found drwxrwxrwx`,
    );
    fs.chmodSync(loose, 0o700);
    fs.symlinkSync("/tmp", join(host.pins, "elsewhere"));
    expect((await host.verb("map create")).stderr).toContain(`${host.pins}/elsewhere: expected root's own`);
    fs.rmSync(join(host.pins, "elsewhere"));
    fs.chownSync(host.stateDir, 1234, 1234);
    expect((await host.verb("map create")).stderr).toContain(`${host.stateDir}: expected root's own`);
    fs.chownSync(host.stateDir, 0, 0);
    const link = `${host.stateDir}-link`;
    fs.symlinkSync(host.stateDir, link);
    expect((await host.verb("map create", "--state-dir", link)).stderr).toContain(`${link}: expected root's own`);
    expect(await host.verb("map create")).toMatchObject({ code: 0 });
  });

  test("the link for hand-typed commands can be run", async () => {
    await withoutLink(async () => {
      const host = new Host(shell);
      await host.verb("object install");
      expect(await run(link, ["help"])).toMatchObject({ code: 0, stdout: expect.stringContaining("usage:") });
    });
  });

  test("the link for hand-typed commands moves to a remaining instance, and goes with the last one", async () => {
    await withoutLink(async () => {
      const host = new Host(shell);
      await host.verb("object install");
      expect(readLink(link)).toBe(join(host.home, "socket-bypass"));
      const other = ["--instance", `${host.instance}-b`];
      await host.verb("object install", ...other, "--cgroup", `${host.cgroup}-other`);
      await host.verb("remove");
      expect(readLink(link)).toBe(join(`${host.home}-b`, "socket-bypass"));
      await host.verb("remove", ...other);
      expect(readLink(link)).toBe("");
    });
  });

  test("a first install that fails after making the link for hand-typed commands removes it", async () => {
    await withoutLink(async () => {
      const host = new Host(shell);
      // The record of the generation is written after the link.
      writeTool(
        host,
        "mv",
        `case "$*" in *declared*) exit 1 ;; esac\nexec env PATH=${shellFolder(shell)}:/usr/bin mv "$@"`,
      );
      expect(await host.verb("object install")).toMatchObject({ code: 1, stdout: "" });
      expect([readLink(link), ...host.traces()]).toEqual([""]);
    });
  });
});

/** Removes an existing link, and puts it back afterwards. */
async function withoutLink(act: () => Promise<void>): Promise<void> {
  const found = readLink(link);
  fs.rmSync(link, { force: true });
  try {
    await act();
  } finally {
    if (fs.existsSync(found) && readLink(link) === "") fs.symlinkSync(found, link);
  }
}
