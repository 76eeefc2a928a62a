// SPDX-License-Identifier: Apache-2.0
import { execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { asBase85 } from "../../src/host/base85.js";
import { bundle, copyOf, Host, isSkipped, root, run, shellFolder, shells, temporaryFolder } from "./host.js";

const unpack = fs.readFileSync(join(root, "host/unpack.sh"), "utf8");

describe.skipIf(isSkipped).each(shells)("the bundle through stdin of %s", (shell) => {
  const send = (host: Host, script: string, digest: string, env = {}) =>
    run(
      join(shellFolder(shell), "sh"),
      [
        "-s",
        "--",
        "object",
        "install",
        ...host.common,
        "--generation",
        host.generation,
        "--cgroup",
        host.cgroup,
        "--digest",
        digest,
      ],
      { ...host.env, TMPDIR: temporaryFolder(), ...env },
      script,
    );

  test("is unpacked, installed and removed from the temporary folder", async () => {
    const host = new Host(shell);
    const { script, digest } = pack(host.bundle);
    const TMPDIR = temporaryFolder();
    expect(await send(host, script, digest, { TMPDIR })).toEqual({
      code: 0,
      signal: null,
      stdout: expect.stringMatching(/^\d+\n$/),
      stderr: "",
    });
    expect(fs.readdirSync(TMPDIR)).toEqual([]);
    const objects = [
      "adopt",
      "flows",
      "redirect",
      "splice_fmod",
      "splice_lsm",
      "splice_waitall",
      "splice_x86",
      "track",
    ].map((name) => `${name}.bpf.o`);
    const files = [...objects, "probe-x86_64", "socket-bypass"].sort();
    expect(fs.readdirSync(join(host.home, host.generation)).sort()).toEqual(files);
    for (const file of files) {
      expect(fs.readFileSync(join(host.home, host.generation, file))).toEqual(fs.readFileSync(join(host.bundle, file)));
    }
    expect(fs.statSync(join(host.home, host.generation)).mode & 0o777).toBe(0o700);
  });

  test("is refused when it was cut or changed on the way", async () => {
    const host = new Host(shell);
    const { script, digest } = pack(host.bundle);
    const lines = script.split("\n");
    const middle = lines.length - 100;
    const cut = [...lines.slice(0, middle), "__BUNDLE__", ""].join("\n");
    const changed = [...lines.slice(0, middle), ...lines.slice(middle + 1)].join("\n");
    const empty = await send(host, unpack, digest);
    expect(empty).toMatchObject({ code: 1, stdout: "" });
    expect(empty.stderr).toContain("bundle: expected one behind this script, found nothing; it was cut on the way");
    for (const broken of [cut, changed]) {
      const TMPDIR = temporaryFolder();
      const { code, stdout, stderr } = await send(host, broken, digest, { TMPDIR });
      expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
      expect(stderr).toMatch(
        new RegExp(
          `bundle: expected digest ${digest}, found [0-9a-f]{64}; it was cut or changed on the way, send it again`,
        ),
      );
      expect(fs.readdirSync(TMPDIR)).toEqual([]);
    }
    expect(host.traces()).toEqual([]);
  });

  test("gives the script's own exit code and error, and takes no folder that forbids execution", async () => {
    const host = new Host(shell);
    const { script, digest } = pack(host.bundle);
    const folder = temporaryFolder();
    execFileSync("mount", ["-t", "tmpfs", "-o", "noexec", "none", folder]);
    try {
      const { code, stderr } = await send(host, script, digest, { TMPDIR: folder });
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      expect(fs.readdirSync(folder)).toEqual([]);
    } finally {
      execFileSync("umount", [folder]);
    }
    const refused = await send(host, script.replace('"$@" --from', '"$@" --cgroup /nowhere --from'), digest);
    expect(refused).toMatchObject({ code: 1, stdout: "" });
    expect(refused.stderr).toContain("socket-bypass: --cgroup /nowhere: expected the folder");
  });

  test("goes to the next folder where one is full, and where all are says so", async () => {
    const host = new Host(shell);
    const { script, digest } = pack(host.bundle);
    const full = temporaryFolder();
    const sent = join(temporaryFolder(), "sent");
    fs.writeFileSync(sent, script);
    const words = ["-s", "--", "object", "install", ...host.common, "--generation", host.generation];
    const inFull = (folders: string[]) => {
      const mounts = folders.map((folder) => `mount -t tmpfs -o size=256k none ${folder} && chmod 0755 ${folder}`);
      const line = [...mounts, `exec sh "$@" --cgroup ${host.cgroup} --digest ${digest} <${sent}`].join(" && ");
      const env = { ...host.env, TMPDIR: full, PATH: `${shellFolder(shell)}:${process.env.PATH}` };
      return run("unshare", ["--mount", "sh", "-c", line, "sh", ...words], env);
    };
    const refused = await inFull([full, "/var/tmp", "/run", "/var/lib"]);
    expect(refused).toMatchObject({ code: 1, stdout: "" });
    expect(refused.stderr).toBe(
      `socket-bypass: folder: expected one of root's that allows execution and has 4 MiB of room among ${full}, /var/tmp, /run and /var/lib, found none; make room in one of them, or remount it without noexec\n`,
    );
    expect(await inFull([full])).toMatchObject({ code: 0, stderr: "" });
  });

  test.each([8, 32, 64, 128, 256])(
    "says that the state directory is full, at whatever file, with %i KiB",
    async (size) => {
      const host = new Host(shell);
      const folder = join(host.stateDir, "..");
      const line = `mount -t tmpfs -o size=${size}k,mode=0755 none ${folder} && sh "$@"; code=$?; ls -A ${folder}; exit $code`;
      const script = join(host.bundle, "socket-bypass");
      const words = ["object", "install", ...host.common, "--generation", host.generation, "--cgroup", host.cgroup];
      const PATH = `${shellFolder(shell)}:${process.env.PATH}`;
      const env = { ...host.env, PATH };
      const refused = await run("unshare", ["--mount", "sh", "-c", line, "sh", script, ...words], env);
      expect(refused).toMatchObject({ code: 1, stdout: "" });
      expect(refused.stderr).toMatch(
        /^socket-bypass: .*expected .*found: .*(No space left on device|; is the disk full\?)$/m,
      );
    },
  );

  test.each([
    ["another user's", (folder: string) => fs.chownSync(folder, 65534, 65534)],
    ["open to all and not sticky", (folder: string) => fs.chmodSync(folder, 0o777)],
  ])("takes no folder below one that is %s", async (_, open) => {
    const host = new Host(shell);
    host.bundle = copyOf(host.bundle);
    fs.writeFileSync(join(host.bundle, "socket-bypass"), '#!/bin/sh\necho "$0"\n');
    const { script, digest } = pack(host.bundle);
    const outer = temporaryFolder();
    const TMPDIR = join(outer, "of-root");
    fs.mkdirSync(TMPDIR, { mode: 0o700 });
    expect((await send(host, script, digest, { TMPDIR })).stdout).toContain(`${TMPDIR}/`);
    open(outer);
    const { code, stdout } = await send(host, script, digest, { TMPDIR });
    expect({ code, isThere: stdout.startsWith(outer) }).toEqual({ code: 0, isThere: false });
    host.bundle = bundle();
  });

  test("leaves no folder behind when it is stopped in the middle", async () => {
    const host = new Host(shell);
    host.bundle = copyOf(host.bundle);
    fs.writeFileSync(
      join(host.bundle, "socket-bypass"),
      "#!/bin/sh\ntrap 'echo stopped >&2; exit 143' TERM\necho started\nfor i in 1 2 3 4 5 6 7 8 9; do sleep 1; done\n",
    );
    const { script, digest } = pack(host.bundle);
    const TMPDIR = temporaryFolder();
    const child = spawn(join(shellFolder(shell), "sh"), ["-s", "--", "object", "install", "--digest", digest], {
      env: { ...host.env, TMPDIR },
      stdio: ["pipe", "pipe", "pipe"],
    });
    child.stdin.end(script);
    await new Promise((done) => child.stdout.once("data", done));
    expect(fs.readdirSync(TMPDIR).length).toBe(1);
    child.kill("SIGTERM");
    expect(await new Promise((done) => child.on("close", done))).toBe(143);
    expect(fs.readdirSync(TMPDIR)).toEqual([]);
  });
});

function pack(folder: string): { script: string; digest: string } {
  const words = ["-c", "--sort=name", "--mtime=@0", "--owner=0", "--group=0", "-C", folder, "."];
  const tar = execFileSync("tar", words, { maxBuffer: 1 << 28 });
  const text = asBase85(gzipSync(tar, { level: 9 })).replace(/.{1,75}/g, "$&\n");
  return {
    script: unpack.replace(/__BUNDLE__\n$/, `${text}__BUNDLE__\n`),
    digest: createHash("sha256").update(tar).digest("hex"),
  };
}
