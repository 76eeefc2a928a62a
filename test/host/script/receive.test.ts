// SPDX-License-Identifier: Apache-2.0
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { archive, packNow } from "../../../src/bundle/bundle.js";
import { type Files, receiving, running } from "../../../src/commands/staged.js";
import { deliver } from "../../../src/targets/deliver.js";
import { Host, isSkipped, run, shellFolder, shells, stateFolder, temporaryFolder } from "../../support/host.js";

describe.skipIf(isSkipped).each(shells)("files for a step, by %s", (shell) => {
  const start = (files: Files, before: readonly string[] = [], env: Record<string, string> = {}) => {
    const PATH = `${shellFolder(shell)}:/usr/sbin:/usr/bin:/sbin:/bin`;
    const [program = "", ...words] = [...before, ...receiving(files).words];
    const child = spawn(program, words, { env: { SOCKET_BYPASS_PATH: PATH, PATH, ...env }, stdio: "pipe" });
    const ended = new Promise<number | null>((done) => child.once("close", done));
    return { child, running: { stdin: child.stdin, stdout: child.stdout, stderr: child.stderr, ended } };
  };
  const send = (files: Files, before: readonly string[] = [], env = {}) =>
    deliver(start(files, before, env).running, files);
  const refusal = (files: Files, before: readonly string[] = [], env = {}) =>
    send(files, before, env).then(
      (sent) => expect.fail(`expected a refusal, found ${sent} bytes sent`),
      (error: Error) => error.message,
    );
  /** Runs the step as a target does, by `sh -s`. */
  const step = (host: Host, files: Files, ...flags: string[]) =>
    run(
      join(shellFolder(shell), "sh"),
      [
        ...["-s", "--", "object", "install", ...host.common, "--generation", host.generation],
        "--cgroup",
        host.cgroup,
        ...flags,
      ],
      host.env,
      running(files, files.digest),
    );
  const staged = ({ stateDir, instance }: Files) => {
    const folder = join(stateDir, `_staged-${instance}`);
    return fs.existsSync(folder) ? fs.readdirSync(folder) : [];
  };

  test("are sent once, installed, and removed from where they were received", async () => {
    const host = new Host(shell);
    const files = filesFor(host, host.bundle);
    expect(await send(files)).toBe(files.packed.length);
    expect(staged(files)).toEqual([files.digest]);
    expect(fs.statSync(join(host.stateDir, `_staged-${host.instance}`)).mode & 0o777).toBe(0o700);
    expect(await send(files)).toBe(0);
    expect(await step(host, files)).toEqual({
      code: 0,
      signal: null,
      stdout: expect.stringMatching(/^\d+\n$/),
      stderr: "",
    });
    expect(staged(files)).toEqual([]);
    for (const name of ["track.bpf.o", "redirect.bpf.o", "probe-x86_64", "socket-bypass"])
      expect(fs.readFileSync(join(host.home, host.generation, name))).toEqual(fs.readFileSync(join(host.bundle, name)));
    expect(fs.statSync(join(host.home, host.generation)).mode & 0o777).toBe(0o700);
  });

  test("are removed when the step is refused, and another step says that it has none", async () => {
    const host = new Host(shell);
    const files = filesFor(host, host.bundle);
    await send(files);
    const refused = await step(host, files, "--cgroup", "/nowhere");
    expect(refused).toMatchObject({ code: 1, stdout: "" });
    expect(refused.stderr).toContain("socket-bypass: --cgroup /nowhere: expected the folder");
    expect(host.traces()).toEqual([]);
    expect(await step(host, files)).toEqual({
      ...{ code: 1, signal: null, stdout: "" },
      stderr: `socket-bypass: ${host.stateDir}/_staged-${host.instance}/${files.digest}/socket-bypass: expected the files that were sent for this step, found none: something on the host has removed them; run up again\n`,
    });
  });

  test("that are cut or changed on the way are refused, and leave nothing behind", async () => {
    const files = small();
    const half = files.packed.subarray(0, files.packed.length / 2);
    const other = packNow(archive(new Map([["socket-bypass", Buffer.from("others'")]])));
    for (const packed of [half, other, Buffer.alloc(0)]) {
      expect(await refusal({ ...files, packed })).toMatch(
        new RegExp(
          `^takes no files: files: expected digest ${files.digest}, found [0-9a-f]{64}; they were cut or changed on the way`,
        ),
      );
      expect(fs.readdirSync(join(files.stateDir, ".."))).toEqual([]);
    }
  });

  test("replace those that an earlier run has left, but not those of another instance", async () => {
    const [mine, next] = [small(), small("echo next")];
    const other = { ...mine, instance: "other" };
    for (const files of [mine, other, { ...next, stateDir: mine.stateDir }]) await send(files);
    expect(staged(mine)).toEqual([next.digest]);
    expect(staged(other)).toEqual([mine.digest]);
  });

  test("leave nothing behind if the sender or the receiver stops half-way", async () => {
    for (const stop of ["end", "kill"] as const) {
      const files = small();
      const { child } = start(files);
      const code = new Promise((done) => child.once("close", done));
      child.stdin.write(receiving(files).script);
      await new Promise((done) => child.stdout.once("data", done));
      expect(staged(files)).toHaveLength(1);
      if (stop === "kill") child.kill("SIGTERM");
      child.stdin.end(files.packed.subarray(0, 20));
      expect(await code).toBe(stop === "kill" ? 143 : 1);
      expect(fs.readdirSync(join(files.stateDir, ".."))).toEqual([]);
    }
  });

  test.each([
    ["another user's", (folder: string) => fs.chownSync(folder, 65534, 65534)],
    ["open to all", (folder: string) => fs.chmodSync(folder, 0o777)],
    ["open to all and sticky", (folder: string) => fs.chmodSync(folder, 0o1777)],
  ])("are not written below a folder that is %s", async (_, open) => {
    const files = small();
    const outer = join(files.stateDir, "..");
    open(outer);
    expect(await refusal(files)).toContain(`takes no files: ${outer}: expected root's own, not writable by others`);
    expect(fs.readdirSync(outer)).toEqual([]);
  });

  // With 256 KiB there is no room for the tar, and with 800 KiB none beside it for what is in it.
  test.each([256, 800])(
    "that find a disk of %i KiB full are refused with the reason, and leave nothing behind",
    async (size) => {
      const noise = Array.from({ length: 8000 }, (_, at) => createHash("sha512").update(`${at}`).digest());
      const files = small(Buffer.concat(noise));
      const outer = join(files.stateDir, "..");
      const left = join(temporaryFolder(), "left");
      const line = `mount -t tmpfs -o size=${size}k,mode=0755 none ${outer} && "$@"; code=$?; ls -A ${outer} >${left}; exit $code`;
      const said = await refusal(files, ["unshare", "--mount", "sh", "-c", line, "sh"]);
      expect(said).toMatch(
        /^takes no files: .*_staged-web: expected room for the files, found: .*; make room there, or choose another stateDir$/,
      );
      expect(fs.readFileSync(left, "utf8")).toBe("");
    },
  );

  test("are refused below a folder that is mounted read-only, with the words of the tool", async () => {
    const made = small();
    const outer = join(made.stateDir, "..");
    // The name of the folder is no reason.
    const files = { ...made, stateDir: join(outer, "workspace") };
    const line = `mount -t tmpfs -o ro,mode=0755 none ${outer} && exec "$@"`;
    expect(await refusal(files, ["unshare", "--mount", "sh", "-c", line, "sh"])).toMatch(
      /^takes no files: .*_staged-web: expected a folder that root can write to, found: .*Read-only file system; correct that, or choose another stateDir$/,
    );
  });

  test("are not written where nothing can run, as on a file system that is mounted noexec", async () => {
    const files = small();
    const outer = join(files.stateDir, "..");
    const left = join(temporaryFolder(), "left");
    const line = `mount -t tmpfs -o noexec,mode=0755 none ${outer} && "$@"; code=$?; ls -A ${outer} >${left}; exit $code`;
    expect(await refusal(files, ["unshare", "--mount", "sh", "-c", line, "sh"])).toBe(
      `takes no files: ${files.stateDir}/_staged-web: expected files that can run there, found that they cannot; remount it without noexec, or choose another stateDir`,
    );
    expect(fs.readFileSync(left, "utf8")).toBe("");
  });

  test("are refused for anybody but root, and if a tool is missing", async () => {
    const files = small();
    expect(await refusal(files, ["/usr/bin/setpriv", "--reuid=65534", "--clear-groups"])).toBe(
      "takes no files: expected to run as root, found another user; set become",
    );
    const tools = temporaryFolder();
    for (const name of ["sh", "dd", "id"]) fs.symlinkSync(join(shellFolder("busybox"), name), join(tools, name));
    expect(await refusal(files, [], { SOCKET_BYPASS_PATH: tools })).toBe(
      "takes no files: tools: expected chmod gzip ls mktemp mv sha256sum tar, found no chmod; install it",
    );
  });

  function small(body: string | Buffer = "echo hello"): Files {
    const tar = archive(new Map([["socket-bypass", Buffer.from(body)]]));
    const digest = createHash("sha256").update(tar).digest("hex");
    return { stateDir: join(stateFolder(), "state"), instance: "web", digest, packed: packNow(tar) };
  }
});

function filesFor({ stateDir, instance }: Host, folder: string): Files {
  const names = fs.readdirSync(folder).filter((name) => /^(socket-bypass|probe-x86_64|[^.]*\.bpf\.o)$/.test(name));
  const tar = archive(new Map(names.map((name) => [name, fs.readFileSync(join(folder, name))])));
  return { stateDir, instance, digest: createHash("sha256").update(tar).digest("hex"), packed: packNow(tar) };
}
