// SPDX-License-Identifier: Apache-2.0
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { join } from "node:path";
import { describe, expect, test, vi } from "vitest";
import { archive, packNow } from "../../../src/bundle/bundle.js";
import { type Files, receiving, running } from "../../../src/commands/staged.js";
import { deliver } from "../../../src/targets/deliver.js";
import { Host, isSkipped, shellFolder, shells, temporaryFolder, writeTool } from "../../support/host.js";

/** Gives a folder where this shell is `sh`. bash is the `sh` of Fedora, RHEL and Arch. */
function folderOf(shell: (typeof shells)[number] | "bash"): string {
  if (shell !== "bash") return shellFolder(shell);
  const folder = temporaryFolder();
  fs.symlinkSync("/usr/bin/bash", join(folder, "sh"));
  return folder;
}

const pins = "/sys/fs/bpf/socket-bypass";

// Not proven here: what stays if the whole process group is killed, after which nothing can clean
// up; see docs/how-to/troubleshoot-fleet.md.
describe.skipIf(isSkipped).each([...shells, "bash"] as const)("a first step, with %s as sh,", (shell) => {
  const cases = ["before the lock", "in the wait for the lock", "in its work"] as const;

  test.each(cases.flatMap((when) => [["SIGINT", when, 130] as const, ["SIGTERM", when, 143] as const]))(
    "that gets %s with all its processes %s exits with %d and leaves nothing behind",
    async (signal, when, expected) => {
      const host = new Host(shell === "bash" ? "dash" : shell);
      const { code, temporary } = await stopFirstStep(host, shell, when, (pid) => process.kill(-pid, signal));
      expect({ code, left: host.traces(), temporary }).toEqual({ code: expected, left: [], temporary: [] });
    },
  );

  test.each(cases)(
    "whose shell alone is killed %s, as the provider does, runs to its end and removes what was sent",
    async (when) => {
      const host = new Host(shell === "bash" ? "dash" : shell);
      const { temporary } = await stopFirstStep(host, shell, when, (pid) => process.kill(pid, "SIGKILL"));
      expect(temporary).toEqual([]);
      expect(fs.existsSync(join(host.home, host.generation, "socket-bypass"))).toBe(true);
      expect(fs.readdirSync(host.stateDir)).toEqual([host.instance]);
      expect(await host.verb("remove")).toMatchObject({ code: 0 });
      expect(host.traces()).toEqual([]);
    },
  );
});

test.skipIf(isSkipped)(
  "a remove by hand also removes files whose step never ran and which no state knows about",
  async () => {
    const host = new Host();
    await send(filesFor(host), host.env);
    expect(fs.readdirSync(host.stateDir)).toEqual([`_staged-${host.instance}`]);
    expect(await host.verb("remove")).toMatchObject({ code: 0, stdout: "gone\n" });
    expect(host.traces()).toEqual([]);
  },
);

/** Runs the first step up to this point, stops it, and waits for all its processes. */
async function stopFirstStep(
  host: Host,
  shell: (typeof shells)[number] | "bash",
  when: string,
  stop: (pid: number) => void,
): Promise<{ code: unknown; temporary: string[] }> {
  const [bin, temporary] = [folderOf(shell), temporaryFolder()];
  const PATH = `${bin}:/usr/sbin:/usr/bin:/sbin:/bin`;
  const env = { ...host.env, PATH, TMPDIR: temporary, SOCKET_BYPASS_PATH: `${host.toolFolder}:${PATH}` };
  const files = filesFor(host);
  await send(files, env);
  const there = join(host.toolFolder, "there");
  const pause = `: >${there}; sleep 1`;
  if (when === "before the lock")
    writeTool(host, "bpftool", `case "$*" in *version*) ${pause} ;; esac\nexec /usr/sbin/bpftool "$@"`);
  if (when === "in its work") writeTool(host, "cp", `${pause}; exec /usr/bin/cp "$@"`);
  const holder = when === "in the wait for the lock" ? await holdLock() : undefined;
  try {
    const words = ["object", "install", ...host.common, "--generation", host.generation, "--cgroup", host.cgroup];
    const child = spawn(join(bin, "sh"), ["-s", "--", ...words, "--splice-guard", "off"], {
      env,
      detached: true,
      stdio: ["pipe", "ignore", "ignore"],
    });
    const ended = new Promise((done) => child.on("exit", (code, signal) => done(code ?? signal)));
    child.stdin?.end(running(files, files.digest));
    const runs = (what: string) =>
      spawnSync("pgrep", ["-f", "--", `${what}.*--instance ${host.instance} `]).status === 0;
    const isThere = () => (holder === undefined ? fs.existsSync(there) : runs("probe-x86_64 lock"));
    await vi.waitFor(() => expect(isThere()).toBe(true), { timeout: 20_000 });
    stop(child.pid ?? 0);
    const code = await ended;
    holder?.();
    await vi.waitFor(() => expect(runs("")).toBe(false), { timeout: 20_000 });
    return { code, temporary: fs.readdirSync(temporary) };
  } finally {
    holder?.();
  }
}

/** Holds the lock as another run on this machine would; others wait for a second or two. */
async function holdLock(): Promise<() => void> {
  fs.mkdirSync(pins, { recursive: true });
  const holder = spawn("flock", [pins, "sleep", "20"], { detached: true, stdio: "ignore" });
  await vi.waitFor(() => expect(spawnSync("flock", ["-n", pins, "true"]).status).toBe(1), { timeout: 20_000 });
  let isHeld = true;
  return () => {
    if (isHeld && holder.pid !== undefined) process.kill(-holder.pid, "SIGKILL");
    isHeld = false;
  };
}

function filesFor({ stateDir, instance, bundle }: Host): Files {
  const names = fs.readdirSync(bundle).filter((name) => /^(socket-bypass|probe-x86_64|[^.]*\.bpf\.o)$/.test(name));
  const tar = archive(new Map(names.map((name) => [name, fs.readFileSync(join(bundle, name))])));
  return { stateDir, instance, digest: createHash("sha256").update(tar).digest("hex"), packed: packNow(tar) };
}

async function send(files: Files, env: Record<string, string>): Promise<void> {
  const [program = "", ...words] = receiving(files).words;
  const child = spawn(program, words, { env, stdio: "pipe" });
  const { stdin, stdout, stderr } = child;
  const ended = new Promise<number | null>((done) => child.once("close", done));
  await deliver({ stdin, stdout, stderr, ended }, files);
}
