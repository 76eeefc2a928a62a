// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { deleteLine } from "../../../src/commands/delete.js";
import { lookAt, readFound } from "../../../src/commands/drift-report.js";
import {
  type Answer,
  copyOf,
  Host,
  isSkipped,
  run,
  shellFolder,
  shells,
  stateFolder,
  temporaryFolder,
} from "../../support/host.js";

const nobody = 65534;
const verbs = ["preflight", "object install", "map create", "policy set --everything", "attach", "status", "flows"];

// Not proven here: that systemd runs ExecStartPre before ExecStart; test/e2e/vm has a systemd.
describe.skipIf(isSkipped).each(shells)("under %s", (shell) => {
  test.each([0o1777, 0o777, 0o775])(
    "a state directory below a folder of mode %o is refused by every verb",
    async (mode) => {
      const host = new Host(shell);
      const open = stateFolder();
      fs.chmodSync(open, mode);
      for (const verb of [...verbs, "metrics", "drain", "remove", "boot start"]) {
        const [words, flags] = [verb.replace(/ --.*/, ""), verb.includes("--") ? ["--everything"] : []];
        const refused = await host.verb(words, ...flags, "--state-dir", join(open, "a/state"));
        expect({ verb, code: refused.code, stdout: refused.stdout }).toEqual({ verb, code: 1, stdout: "" });
        expect(refused.stderr).toContain(
          `${open}: expected root's own, not writable by others (sticky or not), and no link`,
        );
      }
      expect(fs.readdirSync(open)).toEqual([]);
      expect(host.traces()).toEqual([]);
    },
  );

  test("what a stranger puts into a folder that a cleaner has emptied is run neither by a preview, nor by a delete, nor at boot", async () => {
    const host = new Host(shell);
    const units = temporaryFolder();
    const env = { ...host.env, SOCKET_BYPASS_SYSTEMD: units, SOCKET_BYPASS_UNITS: units };
    const tool = join(host.toolFolder, "systemctl");
    fs.writeFileSync(tool, "#!/bin/sh\n", { mode: 0o755 });
    const words = [
      join(host.bundle, "socket-bypass"),
      "apply",
      "--everything",
      "--splice-guard",
      "off",
      "--off",
      ...host.common,
    ];
    const where = ["--generation", host.generation, "--cgroup", host.cgroup];
    const sh = join(shellFolder(shell), "sh");
    expect(await run(sh, [...words, ...where], env)).toMatchObject({ code: 0 });
    const unit = fs.readFileSync(join(units, `socket-bypass-${host.instance}.service`), "utf8");
    const on = { stateDir: host.stateDir, instance: host.instance, owner: host.owner };
    const before = /^ExecStartPre=\/bin\/sh -c '(.*)' (\S+)$/m.exec(unit) ?? [];
    const systemd = `${before[1]}`.replaceAll("$$", "$").replaceAll("%%", "%");
    const lines = async (): Promise<Answer[]> => [
      await run(sh, ["-c", lookAt(on)]),
      await run(sh, ["-c", systemd, `${before[2]}`]),
      await run(sh, ["-c", deleteLine(on, "detach")]),
    ];
    // While root owns everything, the lines run what is there.
    const [seen, started, undone] = await lines();
    expect(JSON.parse(`${seen?.stdout}`)).toMatchObject({ instance: host.instance, owner: host.owner });
    expect(started).toMatchObject({ code: 0, stderr: "" });
    expect(undone).toMatchObject({ code: 0, stdout: "done\n" });
    const open = join(host.stateDir, "..");
    fs.chmodSync(open, 0o1777);
    fs.rmSync(host.stateDir, { recursive: true });
    const ran = join(temporaryFolder(), "ran");
    const script = join(host.home, "socket-bypass");
    const made = `mkdir -p ${host.home} && echo 'echo "$(id -u)" >${ran}; echo done' >${script}`;
    expect(spawnSync("sh", ["-c", made], { uid: nobody, gid: nobody }).status).toBe(0);
    const [looked, booted, deleted] = await lines();
    expect(readFound(`${looked?.stdout}`, "x86_64", {})?.problems).toEqual([
      expect.stringContaining("stateDir: expected root to own the script there"),
    ]);
    expect(booted).toMatchObject({ code: 1, stdout: "" });
    expect(deleted).toMatchObject({ code: 0, stdout: "" });
    for (const one of [booted, deleted])
      expect(one?.stderr).toContain(`${script}: expected root to own it and nobody else to write to it, found -rw`);
    expect(fs.existsSync(ran)).toBe(false);
    // Root owns the file again, but it is still below a folder that anybody may write to.
    fs.chownSync(script, 0, 0);
    fs.chownSync(host.home, 0, 0);
    fs.chownSync(host.stateDir, 0, 0);
    for (const one of await lines()) expect(one.stdout).not.toContain("done");
    expect(fs.existsSync(ran)).toBe(false);
    fs.rmSync(host.stateDir, { recursive: true });
    fs.chmodSync(open, 0o700);
  });

  test("a report runs nothing from a --from that others could have written to", async () => {
    const host = new Host(shell);
    await host.apply();
    const ran = join(temporaryFolder(), "ran");
    const from = copyOf(host.bundle);
    const probe = join(from, "probe-x86_64");
    fs.writeFileSync(probe, `#!/bin/sh\n: >${ran}\n`);
    const report = () => host.raw("flows", ...host.common.slice(0, 4), "--from", from);
    for (const [path, break_, mend] of [
      [probe, () => fs.chownSync(probe, nobody, nobody), () => fs.chownSync(probe, 0, 0)],
      [probe, () => fs.chmodSync(probe, 0o757), () => fs.chmodSync(probe, 0o755)],
      [from, () => fs.chmodSync(from, 0o777), () => fs.chmodSync(from, 0o755)],
      [from, () => fs.chownSync(from, nobody, nobody), () => fs.chownSync(from, 0, 0)],
    ] as const) {
      break_();
      const refused = await report();
      expect(refused).toMatchObject({ code: 1, stdout: "" });
      expect(refused.stderr).toContain(`${path}: expected what root runs to be root's own`);
      mend();
    }
    expect(fs.existsSync(ran)).toBe(false);
  });
});
