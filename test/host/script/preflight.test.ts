// SPDX-License-Identifier: Apache-2.0
// Long: a case for each thing that may be in the way.
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type Answer, attachments, Host, isSkipped, run, shellFolder, shells, writeTool } from "../../support/host.js";

// Not proven here: that the deny-listed kernels crash, and that the others do not. Versions come
// from a fake uname.
describe.skipIf(isSkipped).each(shells)("preflight under %s", (shell) => {
  test("answers with one line if nothing is in the way, and changes nothing", async () => {
    const host = new Host(shell);
    const { code, stdout, stderr } = await host.verb("preflight");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(
      /^ok kernel=\S+ machine=x86_64 bpftool=\d\S* bpffs=\/sys\/fs\/bpf cgroup=\S+ spliceGuard=\w+\n$/,
    );
    expect(host.traces()).toEqual([]);
  });

  test("ignores programs that are loaded but attached nowhere", async () => {
    const other = new Host(shell);
    await other.verb("object install");
    await other.verb("map create");
    expect(await other.verb("program load track")).toMatchObject({ code: 0 });
    expect(await new Host(shell).verb("preflight")).toMatchObject({ code: 0, stderr: "" });
  });

  test("reports all findings before it refuses, and those about the kernel decide the exit code", async () => {
    const host = new Host(shell);
    writeTool(
      host,
      "bpftool",
      `case "$*" in *help*) exit 0 ;; version) echo "bpftool v5.4.0" ;; *) exec /usr/sbin/bpftool "$@" ;; esac`,
    );
    const setup =
      "mount -t tmpfs none /sys/kernel/btf && mount -t tmpfs none /sys/kernel/security && echo 'none integrity [confidentiality]' >/sys/kernel/security/lockdown";
    const { code, stdout, stderr } = await inNamespace(host, setup, "preflight", "--cgroup", "/nowhere");
    expect({ code, stdout }).toEqual({ code: 3, stdout: "" });
    expect(stderr.split("\n").map((line) => line.slice(0, 40))).toEqual([
      "socket-bypass: bpftool: expected 5.8 or ",
      "socket-bypass: BTF: expected /sys/kernel",
      "socket-bypass: lockdown: expected none o",
      "socket-bypass: --cgroup /nowhere: expect",
      "",
    ]);
    expect(stderr).toContain("found 5.4.0 without prog/pinmaps iter/pin map/sockhash cgroup/sock_ops");
  });

  test("names every missing tool at once", async () => {
    const host = new Host(shell);
    const few =
      "awk cat cp date dirname grep id ln ls mkdir mount rm rmdir sed sleep sort touch tr uname readlink sh".split(" ");
    for (const tool of few)
      writeTool(host, tool, `PATH=${shellFolder(shell)}:/usr/bin exec ${shellFolder("busybox")}/${tool} "$@"`);
    const env = { SOCKET_BYPASS_PATH: host.toolFolder };
    const script = join(host.bundle, "socket-bypass");
    const { code, stderr } = await run(
      join(shellFolder(shell), "sh"),
      [script, "preflight", "--cgroup", host.cgroup],
      env,
    );
    expect(stderr).toContain("tools: expected all, found these missing: chmod mv sha256sum; install them");
    expect(stderr).toContain("bpftool: expected one that runs, found none");
    expect(code).toBe(1);
  });

  test("mounts a bpffs for root alone if there is none, and says so", async () => {
    const host = new Host(shell);
    const answer = await inNamespace(host, "umount /sys/fs/bpf", "preflight; grep ' /sys/fs/bpf bpf' /proc/mounts");
    expect(answer).toMatchObject({ code: 0 });
    expect(answer.stdout).toMatch(/^bpf \/sys\/fs\/bpf bpf \S*mode=700\b/m);
    expect(answer.stderr).toBe(
      "socket-bypass: note: no bpffs was mounted; mounted one at /sys/fs/bpf with mode=0700\n",
    );
  });

  test("replaces what another user made first in a bpffs that is open to all, for good", async () => {
    const host = new Host(shell);
    const open = "umount /sys/fs/bpf && mount -t bpf bpf /sys/fs/bpf";
    const its = [...host.common, "--generation", host.generation, "--from", host.bundle];
    const asNobody = "/usr/bin/setpriv --reuid 65534 --regid 65534 --clear-groups sh -c";
    const look = "stat -c '%u %a' /sys/fs/bpf /sys/fs/bpf/socket-bypass; ls /sys/fs/bpf/socket-bypass-00";
    for (const squat of [
      "mkdir -p socket-bypass/a/b",
      "ln -s /etc socket-bypass",
      "mkdir socket-bypass socket-bypass-00",
    ]) {
      const setup = `${open} && ${asNobody} "cd /sys/fs/bpf && ${squat}"`;
      const back = `${asNobody} 'mv /sys/fs/bpf/socket-bypass /sys/fs/bpf/mine || mkdir /sys/fs/bpf/socket-bypass/x' 2>/dev/null`;
      const { stdout, stderr } = await inNamespace(host, setup, `object install; ${back}; ${look}`, ...its);
      expect(stderr).toMatch(
        /note: \/sys\/fs\/bpf\/socket-bypass: expected root's own, found another user's; moved to \/sys/,
      );
      expect(stderr).not.toContain("not writable by others");
      expect(stdout).toMatch(/^0 1777\n0 700\n/m);
    }
  });

  test("refuses a host without cgroup v2", async () => {
    const host = new Host(shell);
    const { code, stderr } = await inNamespace(host, "umount /sys/fs/cgroup/unified", "preflight");
    expect(stderr).toContain("cgroup v2: expected a cgroup2 mount, found none");
    expect(code).toBe(3);
  });

  test("refuses to run for anybody but root", async () => {
    const host = new Host(shell);
    const script = join(host.bundle, "socket-bypass");
    const readable = [
      "-c",
      `cp ${script} /tmp/as-nobody-$$ && chmod 755 /tmp/as-nobody-$$ && setpriv --reuid=65534 --clear-groups dash /tmp/as-nobody-$$ "$@"; code=$?; rm /tmp/as-nobody-$$; exit $code`,
      "sh",
    ];
    for (const verb of [
      ["preflight"],
      ["status"],
      ["map", "create", "--instance", "i", "--generation", "0123456789ab", "--owner", "o"],
    ]) {
      const { code, stderr } = await run("sh", [...readable, ...verb]);
      expect(stderr).toContain('user: expected root, found 65534; say how to become root (become: "sudo -n")');
      expect(code).toBe(1);
    }
  });

  test.each([
    ["6.1.140", "#1 SMP", true],
    ["6.1.159", "#1 SMP", false],
    ["6.1.0-49-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.1.192-2 (2026-11-22)", false],
    ["6.1.0-30-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.1.124-1 (2025-01-12)", true],
    ["5.14.0-503.el9.x86_64", "#1 SMP", true],
    ["6.12.59", "#1 SMP", true],
    ["6.12.60", "#1 SMP", false],
    ["6.17.1-300.fc43.x86_64", "#1 SMP", true],
    ["6.18.0", "#1 SMP", false],
    ["7.0.3", "#1 SMP", false],
    ["6.5.0", "#1 SMP", true],
    ["6.6.119", "#1 SMP", false],
    ["6.11.12", "#1 SMP", true],
    ["5.6.0", "#1 SMP", true],
    ["5.5.19", "#1 SMP", false],
    ["5.4.0-200-generic", "#1 SMP", false],
  ])("says of kernel %s %s with MPTCP on whether it is on the deny-list: %s", async (release, version, isDenied) => {
    const host = new Host(shell);
    writeTool(
      host,
      "uname",
      `case $1 in -r) echo '${release}' ;; -v) echo '${version}' ;; *) exec ${shellFolder("busybox")}/uname "$@" ;; esac`,
    );
    const { code, stderr } = await host.verb("preflight");
    expect({ code, denied: stderr.includes("expected the fix of the oops in mptcp_stream_accept") }).toEqual({
      code: isDenied ? 3 : 0,
      denied: isDenied,
    });
  });

  test("prints only a note for a deny-listed kernel with MPTCP off", async () => {
    const host = new Host(shell);
    writeTool(host, "uname", `case $1 in -r) echo 6.6.50 ;; *) exec ${shellFolder("busybox")}/uname "$@" ;; esac`);
    const { code, stderr } = await inNamespace(host, "sysctl -q net.mptcp.enabled=0", "preflight");
    expect(stderr).toMatch(
      /^socket-bypass: note: kernel 6\.6\.50: .*; leave net\.mptcp\.enabled at 0 in every network namespace\n$/,
    );
    expect(code).toBe(0);
  });

  test.each([
    ["6.1.124", "6.1.125"],
    ["6.12.5", "6.12.6"],
  ])("prints a note for kernel %s, whose fault needs no condition, that names %s", async (release, fixed) => {
    const found = await notes(new Host(shell), release, "espintcp mptcp");
    expect(found).toContain(
      `kernel ${release}: expected the fix of a race in closing sockets of a sockmap (CVE-2024-56664), found one before ${fixed}; update it`,
    );
    expect(found.join()).not.toContain("kTLS");
  });

  test.each(["6.1.188", "6.12.110"])(
    "prints a note about kTLS for kernel %s if the kernel has kTLS",
    async (release) => {
      const [first, ...more] = await notes(new Host(shell), release, "espintcp mptcp tls");
      expect(first).toMatch(
        /: expected the fix of kTLS beside a sockmap \(CVE-2026-93824\), found one before \S+; update it, or leave out the ports of programs that use kTLS$/,
      );
      expect(more).toEqual([]);
      expect(await notes(new Host(shell), release, "espintcp mptcp")).toEqual([]);
    },
  );

  test.each(["6.1.192", "6.12.118", "6.18.44", "7.3.4"])("prints no note for kernel %s", async (release) => {
    expect(await notes(new Host(shell), release, "espintcp mptcp tls")).toEqual([]);
  });

  test("reports an object that the kernel does not load with the message of the verifier", async () => {
    const host = new Host(shell);
    writeTool(
      host,
      "bpftool",
      `case "$*" in *redirect.bpf.o*) ;; *) exec /usr/sbin/bpftool "$@" ;; esac
printf 'libbpf: prog x: BPF program load failed: Invalid argument\\n0: (bf) r6 = r1\\nunknown func bpf_no_such_helper#999\\nprocessed 1 insns (limit 1000000)\\n{"error":"failed to load object file"}'; exit 255`,
    );
    const { code, stderr } = await host.verb("preflight");
    expect(stderr).toMatch(/^socket-bypass: bpftool prog load \S+ failed: unknown func bpf_no_such_helper#999\n$/);
    expect(code).toBe(3);
    expect(host.traces()).toEqual([]);
  });

  test("refuses another program with a sockmap on the cgroup, above it or below it, with its name and advice", async () => {
    const [theirs, ours] = [new Host(shell), new Host(shell)];
    await theirs.apply();
    const id = (await theirs.status()).generations[0]?.programs.track?.id;
    // Without its pins and records, the program could belong to anybody.
    await run("rm", ["-r", theirs.pins]);
    for (const cgroup of [theirs.cgroup, `${theirs.cgroup}/below`, "/"]) {
      const { code, stderr } = await ours.verb("preflight", "--cgroup", cgroup);
      expect(stderr).toContain(
        `${theirs.cgroupFolder}: expected no other user of sockmaps, found sock_ops program ${id} (track_sockets)`,
      );
      expect(stderr).toContain(`'bpftool cgroup detach ${theirs.cgroupFolder} sock_ops id ${id}'`);
      expect(code).toBe(1);
    }
    expect(await ours.verb("preflight")).toMatchObject({ code: 0 });
    await run("bpftool", ["cgroup", "detach", theirs.cgroupFolder, "sock_ops", "id", `${id}`]);
    expect(attachments(theirs.cgroupFolder)).toEqual([]);
  });
});

/**
 * Gives the notes of a preflight on this release with MPTCP off and these ULPs; it must not refuse.
 */
async function notes(host: Host, release: string, ulps: string): Promise<string[]> {
  writeTool(host, "uname", `case $1 in -r) echo ${release} ;; *) exec ${shellFolder("busybox")}/uname "$@" ;; esac`);
  // Another network namespace does not show the list of ULPs.
  const [ulp, mptcp] = [join(host.toolFolder, "ulp"), join(host.toolFolder, "mptcp")];
  const line = `echo ${ulps} >${ulp} && echo 0 >${mptcp} && mount --bind ${ulp} /proc/sys/net/ipv4/tcp_available_ulp && mount --bind ${mptcp} /proc/sys/net/mptcp/enabled && sh ${host.bundle}/socket-bypass preflight --cgroup ${host.cgroup}`;
  const PATH = `${shellFolder(host.shell)}:${process.env.PATH}`;
  const { code, stderr } = await run("unshare", ["--mount", "sh", "-c", line], { ...host.env, PATH });
  expect(code).toBe(0);
  const lines = stderr.split("\n").filter((line) => line !== "");
  return lines.map((line) => line.replace(/^socket-bypass: note: /, "")).filter((line) => !line.includes("mptcp"));
}

/**
 * Runs a verb after a change to mounts and network settings that nobody else sees. More commands
 * may follow the verb after a semicolon.
 */
function inNamespace(host: Host, setup: string, verb: string, ...flags: string[]): Promise<Answer> {
  const [words = "", ...more] = verb.split(";");
  const line = [`${setup} && sh ${host.bundle}/socket-bypass ${words} "$@"`, ...more].join(";");
  const PATH = `${shellFolder(host.shell)}:${process.env.PATH}`;
  return run("unshare", ["--mount", "--net", "sh", "-c", line, "sh", "--cgroup", host.cgroup, ...flags], {
    ...host.env,
    PATH,
  });
}
