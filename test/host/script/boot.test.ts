// SPDX-License-Identifier: Apache-2.0
// Long: all cases use one stand-in for systemctl.
import { execFileSync, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { attachments, Host, isSkipped, shells, temporaryFolder, writeTool } from "../../support/host.js";

// Not proven here: that systemd starts the unit, because systemctl is a stand-in that records its
// calls.
class BootHost extends Host {
  units = temporaryFolder();
  readonly notes = temporaryFolder();
  systemd = this.notes;

  override get env(): Record<string, string> {
    return { ...super.env, SOCKET_BYPASS_SYSTEMD: this.systemd, SOCKET_BYPASS_UNITS: this.units };
  }

  get unit(): string {
    return join(this.units, `socket-bypass-${this.instance}.service`);
  }

  /** Makes the stand-in answer as a systemd of this version, with this LoadState. */
  haveSystemd(version: number, loaded = "loaded"): void {
    const enabled = join(this.notes, "enabled");
    const looks = [
      `case $1 in --version) echo "systemd ${version} (${version}.1)"; exit ;;`,
      `is-enabled) [ -e ${enabled} ]; exit ;;`,
      `show) echo LoadState=${loaded}; exit ;;`,
      `status) echo "     Loaded: ${loaded} (Reason: it says so)"; exit ;; esac`,
    ];
    const acts = `case $1 in enable) : >${enabled} ;; disable) rm -f ${enabled} ;; esac`;
    writeTool(this, "systemctl", [...looks, `echo "$*" >>${this.notes}/calls`, acts].join("\n"));
  }

  calls(): string[] {
    const file = join(this.notes, "calls");
    return fs.existsSync(file) ? fs.readFileSync(file, "utf8").trim().split("\n") : [];
  }

  static make(shell: (typeof shells)[number]): BootHost {
    const host = new BootHost(shell);
    host.haveSystemd(252);
    return host;
  }

  /** Removes the instance while the stand-in still exists. */
  override async end(): Promise<void> {
    await this.verb("remove");
    await super.end();
  }

  boot() {
    return this.raw("boot", "start", "--instance", this.instance, "--state-dir", this.stateDir);
  }
}

describe.skipIf(isSkipped).each(shells)("the boot unit under %s", (shell) => {
  test("is written once by an attach, names what it runs, and goes with a detach", async () => {
    const host = BootHost.make(shell);
    const name = `socket-bypass-${host.instance}.service`;
    await host.apply();
    expect(host.calls()).toEqual(["daemon-reload", `enable --quiet ${name}`]);
    const text = fs.readFileSync(host.unit, "utf8");
    expect(text).toContain(
      `ExecStart=/bin/sh ${host.home}/socket-bypass boot start --instance ${host.instance} --state-dir ${host.stateDir}\n`,
    );
    expect(text).not.toMatch(/ProtectKernelTunables|PrivateNetwork/);
    for (const kept of ["SystemCallFilter", "RestrictAddressFamilies", "PrivateTmp", "MemoryDenyWriteExecute"])
      expect(text).toContain(`\n${kept}=`);
    // Without this, systemd would retry for ever on a kernel that is not supported.
    expect(text).toContain("\nRestartPreventExitStatus=3\n");
    await host.apply();
    expect(host.calls()).toHaveLength(2);
    expect(await host.verb("detach")).toMatchObject({ code: 0 });
    expect([fs.existsSync(host.unit), ...host.calls().slice(2)]).toEqual([
      false,
      `disable --quiet --now ${name}`,
      "daemon-reload",
    ]);
  });

  test("is not written where no systemd runs", async () => {
    const host = BootHost.make(shell);
    host.systemd = "/nowhere";
    expect(await host.apply()).toMatchObject({ code: 0 });
    expect([fs.existsSync(host.unit), ...host.calls()]).toEqual([false]);
  });

  test("is refused in a read-only folder before anything is handed over, and --boot false goes on without it", async () => {
    const host = BootHost.make(shell);
    execFileSync("mount", ["-t", "tmpfs", "-o", "ro", "none", host.units]);
    try {
      const preflight = await host.verb("preflight");
      const refused = await host.apply();
      await host.apply("--boot", "false");
      const attach = await host.verb("attach", "--drain-seconds", "1");
      for (const answer of [preflight, refused, attach]) {
        expect(answer).toMatchObject({ code: 1, stdout: "" });
        expect(answer.stderr).toContain(
          `socket-bypass: ${host.units}: expected a folder that can hold the boot unit socket-bypass-${host.instance}.service, found it read-only or full; say --boot false (boot: false)`,
        );
      }
      expect(await host.apply("--boot", "false")).toMatchObject({ code: 0, stderr: "" });
      expect(await host.status()).toMatchObject({ healthy: true, problems: [], epochs: { attach: 0 } });
      await reboot(host);
      expect(await host.boot()).toMatchObject({ code: 0, stderr: "" });
      expect(await host.status()).toMatchObject({ healthy: true });
      expect(await host.verb("remove")).toMatchObject({ code: 0 });
      expect(host.calls()).toEqual([]);
    } finally {
      execFileSync("umount", [host.units]);
    }
  });

  test("goes when it is no longer wanted and comes back when it is, and one of the administrator's stays", async () => {
    const host = BootHost.make(shell);
    await host.apply();
    expect(await host.apply("--boot", "false")).toMatchObject({ code: 0 });
    expect([fs.existsSync(host.unit), (await host.status()).problems]).toEqual([false, []]);
    fs.writeFileSync(host.unit, "his own");
    for (const words of ["attach", "detach"]) {
      expect(await host.verb(words, ...(words === "attach" ? ["--boot", "false"] : []))).toMatchObject({ code: 0 });
      expect(fs.readFileSync(host.unit, "utf8")).toBe("his own");
    }
    expect(await host.apply()).toMatchObject({ code: 0 });
    expect(fs.readFileSync(host.unit, "utf8")).toContain("ExecStart=");
  });

  test("suits a systemd before 244 too, and attach says what that one cannot do", async () => {
    const host = BootHost.make(shell);
    host.haveSystemd(239);
    const applied = await host.apply();
    expect(applied).toMatchObject({ code: 0 });
    expect(applied.stderr).toBe(
      "socket-bypass: note: systemd 239: expected 244 or newer, which can try a unit of this kind again; a boot start that fails is not tried again\n",
    );
    // That systemd does not load a unit of Type=oneshot with Restart=: "Service has Restart=
    // setting other than no". Protect… and Private… would give the unit mounts of its own, and a
    // bpffs that this systemd has not mounted itself would vanish with them.
    expect(fs.readFileSync(host.unit, "utf8")).not.toMatch(/^(Restart|Protect|Private|ReadWrite|SystemCall)/m);
    expect(await host.apply()).toMatchObject({ code: 0, stderr: "" });
    host.haveSystemd(244);
    expect((await host.status()).epochs.attach).toBe(1);
    expect(await host.apply()).toMatchObject({ code: 0, stderr: "" });
    expect(fs.readFileSync(host.unit, "utf8")).toContain("\nRestart=on-failure\n");
  });

  test.each(["bad-setting", "error", "masked"])(
    "fails the attach, in the words of systemd, if that does not load it (%s)",
    async (state) => {
      const host = BootHost.make(shell);
      host.haveSystemd(252, state);
      const refused = await host.apply();
      expect(refused).toMatchObject({ code: 1, stdout: "" });
      expect(refused.stderr).toContain(
        `${host.unit}: expected a boot unit that systemd accepts, found: Loaded: ${state} (Reason: it says so); it serves, but starts at no boot`,
      );
    },
  );

  test("restores all that was declared once a boot has taken the pins and attachments away", async () => {
    const host = BootHost.make(shell);
    const flags = ["--ports", "7000-7100", "--queue-bytes", "100000", "--sockets", "1000", "--off", "--epoch", "7"];
    expect(await host.verb("apply", ...flags)).toMatchObject({ code: 0 });
    const before = await host.status();
    await reboot(host);
    expect((await host.status()).healthy).toBe(false);
    expect(await host.boot()).toMatchObject({ code: 0, stdout: "done\n", stderr: "" });
    const after = await host.status();
    expect({ ...after, generations: [], attached: [] }).toEqual({ ...before, generations: [], attached: [] });
    expect(attachments(host.cgroupFolder)).toEqual(["track_sockets"]);
    expect(await host.boot()).toMatchObject({ code: 0, stdout: "done\n", stderr: "" });
  });

  test("is left alone by the boot start that it runs, which may not write to its folder", async () => {
    const host = BootHost.make(shell);
    await host.apply();
    await reboot(host);
    host.haveSystemd(257);
    fs.writeFileSync(host.unit, "of another version");
    execFileSync("mount", ["--bind", "-o", "ro", host.units, host.units]);
    execFileSync("mount", ["-o", "remount,bind,ro", host.units]);
    const calls = host.calls();
    try {
      expect(await host.boot()).toMatchObject({ code: 0, stderr: "" });
    } finally {
      execFileSync("umount", [host.units]);
    }
    expect([host.calls(), fs.readFileSync(host.unit, "utf8")]).toEqual([calls, "of another version"]);
    expect((await host.status()).epochs.attach).toBe(1);
  });

  const analyze = spawnSync("systemd-analyze", ["--version"], { encoding: "utf8" }).stdout ?? "";
  const version = Number(/^systemd (\d+)/.exec(analyze)?.[1] ?? 0);

  // test/e2e/vm, where systemd runs the unit, shows that it can do its work within these bounds.
  test.skipIf(version < 252)("passes systemd-analyze, which finds that it may do little", async () => {
    const host = BootHost.make(shell);
    await host.apply();
    const verified = spawnSync("systemd-analyze", ["verify", host.unit], { encoding: "utf8" });
    expect({ code: verified.status, stderr: verified.stderr }).toEqual({ code: 0, stderr: "" });
    const words = ["security", "--offline=true", "--no-pager", host.unit];
    const { stdout } = spawnSync("systemd-analyze", words, { encoding: "utf8" });
    expect(Number(/exposure level for \S+: ([\d.]+)/.exec(stdout)?.[1] ?? 10)).toBeLessThan(4);
  });

  test("runs the self-test again only on another kernel", async () => {
    const host = BootHost.make(shell);
    expect(await host.verb("apply", "--everything")).toMatchObject({ code: 0 });
    // With this stand-in nothing is redirected, so the self-test fails if it runs.
    const idle = `case "$*" in *"cgroup attach"*socket-bypass-selftest-*) exit 0 ;; esac\nexec /usr/sbin/bpftool "$@"`;
    writeTool(host, "bpftool", idle);
    await reboot(host);
    expect(await host.boot()).toMatchObject({ code: 0 });
    for (const [flag, word] of [
      ["-r", "6.99.0"],
      ["-v", "#2 built again"],
    ]) {
      writeTool(host, "uname", `[ "$1" = ${flag} ] && echo '${word}' && exit\nexec /usr/bin/uname "$@"`);
      await reboot(host);
      const status = await host.status();
      expect(status.epochs.selftest).toBe(1);
      expect(status.problems).toContainEqual(
        expect.stringMatching(`^the self-test passed on kernel .*, and this is .*${word}`),
      );
      // The step that attaches is refused too, in case the boot has not got so far.
      for (const refused of [await host.boot(), await host.verb("attach")]) {
        expect(refused).toMatchObject({ code: 1 });
        expect(refused.stderr).toContain("selftest: expected redirected messages");
        expect(attachments(host.cgroupFolder)).toEqual([]);
      }
    }
  });

  test("starts nothing on a kernel that is now on the deny-list, and neither does attach", async () => {
    const host = BootHost.make(shell);
    await host.apply();
    writeTool(host, "uname", `[ "$1" = -r ] && echo 6.6.50 && exit\nexec /usr/bin/uname "$@"`);
    await reboot(host);
    for (const refused of [await host.boot(), await host.verb("attach")]) {
      expect(refused).toMatchObject({ code: 3, stdout: "" });
      expect(refused.stderr).toContain("kernel 6.6.50: expected the fix of the oops in mptcp_stream_accept");
    }
    expect(attachments(host.cgroupFolder)).toEqual([]);
  });

  test.each(["the same", "another"])(
    "goes with an instance that is taken over, and nothing starts that instance again with %s state directory",
    async (place) => {
      const first = BootHost.make(shell);
      const second = BootHost.make(shell);
      second.units = first.units;
      second.toolFolder = first.toolFolder;
      const where = place === "the same" ? ["--state-dir", first.stateDir] : [];
      const shared = ["--cgroup", first.cgroup, "--take-over", ...where];
      await first.apply();
      const taken = await second.apply(...shared);
      expect(taken).toMatchObject({ code: 0 });
      expect(taken.stderr).toContain(`note: instance ${first.instance} is taken over for good and starts at no boot`);
      expect([fs.existsSync(first.unit), fs.existsSync(second.unit)]).toEqual([false, true]);
      expect(first.calls()).toContain(`disable --quiet --now socket-bypass-${first.instance}.service`);
      // A boot could start the losing instance first.
      expect(await first.boot()).toMatchObject({
        code: 1,
        stderr: `socket-bypass: ${first.home}/current: expected the serving generation, found none; run pulumi up again\n`,
      });
      expect(await first.raw("status", "--json", ...first.common.slice(0, 4))).toMatchObject({ code: 0 });
      expect(attachments(first.cgroupFolder)).toEqual(["track_sockets"]);
      // Its own stack is refused, and gets the cgroup back if it says so.
      expect((await first.apply()).stderr).toContain(`found ${second.instance} on ${first.cgroup}`);
      expect(await first.apply("--take-over")).toMatchObject({ code: 0 });
      expect([fs.existsSync(first.unit), fs.existsSync(second.unit)]).toEqual([true, false]);
      expect((await first.status()).healthy).toBe(true);
      await second.raw(
        "remove",
        "--instance",
        second.instance,
        ...(where.length ? where : ["--state-dir", second.stateDir]),
      );
    },
  );

  test("says what is missing if nothing was ever attached", async () => {
    const host = BootHost.make(shell);
    await host.verb("object install");
    const { code, stderr } = await host.boot();
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: `socket-bypass: ${host.home}/current: expected the serving generation, found none; run pulumi up again\n`,
    });
  });
});

/** Leaves what a boot leaves: the files, and nothing in the kernel. */
async function reboot(host: BootHost): Promise<void> {
  const files = temporaryFolder();
  const unit = fs.existsSync(host.unit) ? fs.readFileSync(host.unit) : undefined;
  fs.cpSync(host.home, files, { recursive: true, verbatimSymlinks: true });
  expect(await host.verb("remove")).toMatchObject({ code: 0 });
  fs.cpSync(files, host.home, { recursive: true, verbatimSymlinks: true });
  fs.chmodSync(host.stateDir, 0o700);
  if (unit !== undefined) fs.writeFileSync(host.unit, unit);
}
