// SPDX-License-Identifier: Apache-2.0
// Long: one row for each error that does not say itself what to do.
// What errors.md says of the errors, area by area.

export interface Area {
  readonly heading: string;
  /** Sources whose errors stand under this heading. */
  readonly sources: RegExp;
  readonly about: string;
  /** What to do where neither the error nor a row below says it. */
  readonly fix?: string;
}

export const areas: readonly Area[] = [
  {
    heading: "What a host lacks",
    sources: /^host\/script\/verbs\/preflight\.sh$/,
    about:
      "`object install` runs preflight first, so these errors stop an installation before anything is installed. Preflight lists all problems that it finds. It exits with 3 if the kernel is not supported, and with 1 if there is another problem.",
  },
  {
    heading: "Files and root",
    sources:
      /^host\/script\/(lib\/(trust|records|lock|instances|paths|owner)|receive|main|verbs\/(object-install|remove|drain))(\.sh)$/,
    about: "Root runs files in the state directory, so the script first checks who may write there.",
  },
  {
    heading: "Cgroups and bpffs",
    sources: /^host\/script\/lib\/(cgroups|recover|trial)\.sh$/,
    about: "The programs are attached to a cgroup v2 and pinned in bpffs.",
  },
  {
    heading: "Loading and attaching",
    sources:
      /^host\/script\/(lib\/(generation|bpftool|maps|splice-\w+|listeners|feeds|drain|say)|verbs\/(attach|selftest|adopt))\.sh$/,
    about: "The text after `failed:` is that of bpftool or of the kernel's verifier.",
  },
  {
    heading: "Problems that status shows",
    sources: /^host\/script\/lib\/observe\.sh$/,
    about:
      "A line of `socket-bypass status` that begins with `problem` says what differs from what is declared. `pulumi up` with `detectDrift: true` repairs exactly that step. Without `detectDrift`, run `socket-bypass boot start --instance NAME` on the host, which runs all steps again.",
    fix: "run `socket-bypass boot start --instance NAME` on the host, or `pulumi up` with `detectDrift: true`",
  },
  {
    heading: "Pods of a node pool",
    sources: /^host\/pod\//,
    about:
      "A pod prints these errors in its log (`kubectl logs`). `kubectl describe pod` shows the last one. A pod also prints the errors of the host script, which it runs. Where an error ends in `found the reason above`, the line before it names the reason. [troubleshoot-pool.md](../how-to/troubleshoot-pool.md) says more.",
  },
  {
    heading: "Boot",
    sources: /^host\/script\/(lib\/boot|lib\/boot-unit|verbs\/boot-start)\.sh$/,
    about: "Where systemd runs, `attach` writes a unit that runs all steps again at boot.",
  },
  {
    heading: "Reports and captures",
    sources: /^host\/script\/verbs\/(advise|bench|flows|metrics|tap|top|status)\.sh$/,
    about: "Reports change nothing that serves, so you can run them again after an error.",
  },
  {
    heading: "Wrong usage of the host script",
    sources: /^host\/script\/lib\/(arguments|encode-policy)\.sh$/,
    about: "The script exits with 2, and changes nothing. [host-script.md](host-script.md) lists all verbs and flags.",
    fix: "correct the command line",
  },
  {
    heading: "Steps, deletes and the drift check",
    sources: /^src\/(commands\/(delete|drift-report|staged|trust)|install\/left-out)\.ts$/,
    about:
      "These errors come from the lines that Pulumi runs on a host before they reach the host script. Those about drift are warnings of a preview with `detectDrift`.",
  },
  {
    heading: "Logging in and sending files",
    sources: /^src\/(targets|install\/(?!left-out))/,
    about:
      "These errors come from previews with `detectDrift`, and from the hook that sends the files. The name of the host precedes each error. [troubleshoot-fleet.md](../how-to/troubleshoot-fleet.md) says more about each.",
  },
  {
    heading: "The package",
    sources:
      /^(bpf\/build\.sh|src\/(plugin\.ts|(bundle|components|args)\/|commands\/(?!delete|drift-report|staged|trust)))/,
    about:
      "These errors come before any host is touched. [arguments.md](arguments.md) has the errors of each argument.",
  },
  {
    heading: "The operator's command",
    sources: /^src\/cli(\/|\.ts)/,
    about:
      "If one host fails, `npx socket-bypass` prints the name of the host before the error, and continues with the others. [cli.md](cli.md) has its verbs and flags.",
  },
];

const usage = "correct the command line; `npx socket-bypass help` lists verbs and flags";
const otherVersion = "run `pulumi up`: the script on the host is of another version, or somebody controls the host";
const hangs = "check the host: it accepts the login and then hangs";

/** What to do about an error whose own text does not say it, by that text. */
export const fixes: Readonly<Record<string, string>> = {
  // What a host lacks
  "bpffs: expected one at /sys/fs/bpf, found none and could not mount it":
    "`mount -t bpf bpf /sys/fs/bpf`; if that fails, the kernel has no bpffs or you are in a container",
  "capabilities: expected CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN (or CAP_SYS_ADMIN), found …":
    "run it as root with these capabilities; in a container, add them",
  "flows: listing the sockets of a map failed: …":
    "report it with the kernel's version: its verifier refuses this program",
  "lockdown: expected none or integrity, found confidentiality, which forbids bpf_probe_read_kernel":
    "boot with `lockdown=integrity`, or leave the host out",
  "machine: expected x86_64 or aarch64, found …": "leave the host out: there are no programs for its processor",
  "spliceGuard: expected a method to protect programs that splice, found none: …":
    'use another kernel, or set `spliceGuard: "auto"` and leave out the ports of programs that splice',
  "kernel …: expected …, found one before …; …": "update the kernel, or do what the error says after its semicolon",
  "note: kernel …: expected …, found one before …; …":
    "update the kernel, or do what the note says after its semicolon",
  // Files and root
  "--from: expected a folder": "name the folder of the unpacked bundle",
  "--from …: expected the unpacked bundle, found no socket-bypass in it": "name the folder that holds the script",
  "bpffs: expected a plain mount point, found …": "mount bpffs at a path of letters, digits and . _ - only",
  "build.sh: compiling the objects failed for the reason above": 'correct what clang reports, or use `"prebuilt"`',
  "instance …: expected it in … or …, found neither": "name an instance that `socket-bypass status` lists",
  "instance …: expected it in …, found nothing pinned":
    "name an instance that `socket-bypass status` lists; after a reboot run `socket-bypass boot start --instance NAME`",
  "note: bpffs: expected one, found none and could not mount it at /sys/fs/bpf":
    "do nothing: nothing of the instance is in the kernel then, so only its files are removed",
  "note: instance … belongs to …, not to …; left alone":
    "do nothing, if that owner still uses it; otherwise run `socket-bypass remove --instance NAME` on the host",
  "note: no bpffs was mounted; mounted one at /sys/fs/bpf with mode=0700":
    "do nothing, or mount bpffs at boot, as systemd does",
  "…: putting the files there failed: it cannot be written to":
    "make the folder writable for root, or choose another `stateDir`",
  // Cgroups and bpffs
  "--cgroup: expected a path below the cgroup v2 mount, found …":
    'begin with "/", without the mount point and without ".."',
  "note: …: expected sock_ops program … to be pinned, found its pins gone; it is drained and detached":
    "find out who removed the pins or unmounted bpffs",
  "…: listing what is attached in it failed: …":
    "run it with CAP_SYS_ADMIN, or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON",
  // Loading and attaching
  "bpftool prog load …/track-new failed: …": "report it with the kernel's version: its verifier refuses this program",
  "bpftool prog load …/redirect failed: …": "report it with the kernel's version: its verifier refuses this program",
  "note: …: listing its sockets failed: …; … stay enrolled":
    "do nothing: these sockets go on over TCP until they close",
  "note: …: … sockets stay enrolled and go on over TCP until they close; … of them hold unread bytes":
    "do nothing, or restart the programs that do not read what they were sent",
  "reading map … failed: …": "run it again; if it stays, something else has removed the map: run `pulumi up`",
  "selftest: expected every case to pass, found… failed (exit …): …; nothing was attached to …":
    "report it with the kernel's version; until it is mended, leave the host out",
  "selftest: expected redirected messages, found … in … pairs; nothing was attached to …":
    "report it with the kernel's version; until it is mended, leave the host out",
  "spliceGuard: attaching it by … failed: …": 'report it with the kernel\'s version; `spliceGuard: "off"` does without',
  "kernel: expected Linux 6.12 or newer, which can call a sock_ops program for sockets that are established, found …":
    "leave `adopt` out on this host, or update its kernel to 6.12.104, 6.18.45, 7.1.9 or newer",
  "note: no policy is set yet, so nothing is bypassed": "run `policy set`; a stack does that in the step before",
  "note: limits.sockets is …, but the instances of this host have room for … sockets that are redirected to: what finds none stays on TCP, until all instances have been removed once":
    "remove all instances of the host once, then install them again, if `refused_full` grows",
  // Problems that status shows
  "instance …: looking at it failed for the reason above; the other instances follow":
    "correct what the lines before it name",
  "looking at it failed; 'socket-bypass status --instance …' says why":
    "run `socket-bypass status --instance NAME` on the host: it says why",
  "the self-test passed on kernel …, and this is …": "run `pulumi up`, which runs the self-test on this kernel",
  "…: its files are not those that were installed":
    "run `pulumi up`; find out who has changed them, because root runs them",
  "the boot unit … is not there": "run `pulumi up`, or set `boot: false`",
  // Pods of a node pool
  "…: expected a folder of the pod's own (emptyDir), found the reason above":
    "let no transform or webhook replace the volume `state` of the pod",
  "expected this pod to serve, found that its start has not ended":
    "wait; if it stays, look at the log of the pod (`kubectl logs`)",
  "not supported here, so this node goes on by plain TCP":
    "update the kernel of the node, or leave the node out by `nodeSelector`; the lines before it say what is missing",
  // Boot
  "note: systemctl disable … failed; its file is removed all the same":
    "do nothing: without its file the unit starts at no boot",
  "note: systemd …: expected 244 or newer, which can try a unit of this kind again; a boot start that fails is not tried again":
    "update systemd, or run `socket-bypass boot start --instance NAME` after a boot at which it failed",
  // Loading: what listens, and how commands of bpftool fail
  "bpftool … failed: …": "correct what bpftool says after the colon; if it says nothing of use, report it",
  "note: …: expected a kernel whose FIONREAD counts what comes through the bypass (6.6.128, 6.12.75, 6.18.14, 7.0 or newer), found …":
    "leave out the ports that the note names, or update the kernel",
  "note: …: expected no program that splices where the kernel has no method for spliceGuard, found …":
    "do what the note says: leave out its ports, or forbid it the call; [splicing-programs.md](../how-to/splicing-programs.md) explains both",
  // Reports and captures
  "--bench: expected a file with what 'socket-bypass bench --json' printed, found no file …":
    "run `socket-bypass bench --json >FILE` first",
  "--bench: expected figures of a size that advise compares with (64, 1024, 16384, 65536 or 262144), found none in …":
    "run `socket-bypass bench --json` of this version again, or leave `--bench` out",
  "--bench: expected what 'socket-bypass bench --json' printed, found something else in …":
    "run `socket-bypass bench --json >FILE` again, with the flag `--json`",
  "advise: failed for the reason above": "correct what the lines before it name",
  "note: which sockets take the bypass already is not known: …":
    "services that take the bypass already show less traffic than they have; see `flows`",
  "bench: a run of … (…) failed: …": "run it again; the words after `failed:` are those of the helper",
  "bench: expected redirected messages, found none": "check that the self-test passes: `socket-bypass selftest`",
  "…: listing its sockets failed: …": "run it with CAP_SYS_ADMIN, or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON",
  "…: listing who has which socket open failed for the reason above": "correct what the lines before it name",
  "instance …: expected a generation that serves, found none; nothing is bypassed":
    "run `socket-bypass boot start --instance NAME` on the host, or `pulumi up` with `detectDrift: true`",
  "--textfile …": "make the folder writable for root, or make room in it: the words after the colon say which",
  "tap: expected an instance, found none installed": "install one: a tap shows what is bypassed",
  "tap: expected --instance, found several instances: …": "name one of them by `--instance`",
  // Steps, deletes and the drift check
  "…: expected root to own it and nobody else to write to it, found …":
    "correct owner and mode of that folder or file (`chown root`, `chmod go-w`), or choose another `stateDir`",
  "…: expected the script that removes it, found none, …":
    "type the command that the next line shows, if it shows one; otherwise do nothing",
  "expected what this stack made last, found something else: it was changed by hand or by another stack, or a snapshot was put back":
    "run `pulumi up`, which makes it as declared; find out who has changed it",
  // Logging in and sending files
  "cannot be asked: …": "correct what the words after the colon name",
  "cannot be reached": "check the address, the network and its firewalls; see [host-gone.md](../how-to/host-gone.md)",
  "cannot run …: …": "install that program on the machine that runs Pulumi, or correct `become`",
  "has a name that cannot be resolved": "check the name of the host, and DNS on the machine that runs Pulumi",
  "has no host key of the declared type, or no cipher that the SSH client supports":
    "declare a `hostKey` of a type that the host has (`ls /etc/ssh/*.pub` there), and update its sshd if it is very old",
  "refuses this user with this key, password or agent": "correct the user, the key or the password",
  "refuses the connection":
    "check the address and the port, and whether sshd runs; see [host-gone.md](../how-to/host-gone.md)",
  "socket-bypass: expected an engine that has resource hooks, by which the files reach a host: a Pulumi CLI of 3.182 or newer":
    "install a newer Pulumi CLI",
  "takes no files: …":
    "do what the words after the colon say: this page lists them under [Files and root](#files-and-root)",
  "does not answer within … s":
    "check the address, the network and its firewalls; see [host-gone.md](../how-to/host-gone.md)",
  "drift: …":
    "run `pulumi up`, which repairs it; the words after the colon are those of [status](#problems-that-status-shows)",
  "observe: …": "choose the ports anew: the words after the colon say which ones, and why",
  "the host …": "do what this page says of the words that follow",
  "the connection broke": "run `pulumi up` again; look at the log of sshd on the host if it stays",
  "this machine …": "do what this page says of the words that follow; they are about the machine that runs Pulumi",
  "does not answer its bastion within … s": "check the address as the bastion sees it, and whether the host runs",
  "drift: not looked at, because the host …; …":
    "correct what the error says of the host; until then leave it out by `--exclude`, or see [host-gone.md](../how-to/host-gone.md)",
  "gives no answer within … s": hangs,
  "ends the connection": "look at the log of sshd on the host: fail2ban, `MaxStartups` or a crash end connections",
  "ends the command with …": "run `socket-bypass status` there by hand; `sudo` or a shell refused the command",
  "accepts the login but runs no command": "allow a session with a command for this user (`PermitTTY` is not needed)",
  "cannot be reached from its bastion": "check the address as the bastion sees it, and `AllowTcpForwarding` there",
  "cannot be reached: its bastion ends the connection": "look at the log of sshd on the bastion",
  "prints more than … bytes": otherVersion,
  // The package
  "…: expected a name of at most 99 bytes": "in a checkout, give that file of `dist/host` a shorter name",
  "expected a component of socket-bypass, found …":
    "use a type of the package's schema: `pulumi package get-schema` lists them",
  'socket-bypass: bpf.compile: expected clang and llvm-strip that compile bpf/ on this machine, found: … install clang and llvm, or use "prebuilt"':
    "do so on the machine that runs Pulumi; if clang is there, correct what it reports",
  "socket-bypass: ConfigMap: expected at most … bytes, found …; leave something out of dist/host":
    'use `bpf: { compile: "prebuilt" }`; in a checkout, leave something out of dist/host',
  "socket-bypass: host: expected a machine of type x86_64 or aarch64, found …":
    "leave the host out: there are no programs for its processor",
  // The operator's command
  "…: expected an installation, found none":
    "check `--state-dir`; if it is right, nothing is installed there, and `pulumi up` installs it",
  "…: expected this program on PATH, found none": "install that program: `ssh`, or `kubectl` for the nodes of a pool",
  "--stack …: pulumi: …": "correct what the words of Pulumi after the second colon name",
  "kubectl: …": "correct what the words of kubectl after the colon name",
  "--output: …": "name a file that can be written: the words after the colon say why this one cannot",
  "kubectl: expected this program on PATH, found none": "install kubectl on this machine",
  "expected a machine of type x86_64 or aarch64, found …": "leave the host out: there is no helper for its processor",
  "expected a verb (…), found …": usage,
  "…: expected --ssh USER@HOST or --stack NAME": usage,
  "…: expected --ssh or --stack, found both": usage,
  "report: expected a service that is in --before and in --after, found none; compare their hosts":
    "record the same hosts before and after, while the services have traffic",
  "record: expected -o FILE": usage,
  "report: expected --before and --after": usage,
  "--instance: expected one of this stack (…), found …":
    "name one of those in the parentheses, or leave `--instance` out",
  "--stack: expected no --…, which the stack has for each host": "leave the flag out, or use `--ssh`",
  "--stack-output …: expected at least one host or node pool, found none":
    "export the logins of a component that has hosts or node pools",
  "--pool: expected a node pool of this stack (…), found …": "name one of those in the parentheses",
  "--node: expected a stack with node pools, found one with hosts alone": "leave `--node` out",
  "--node: expected a node with a pod of …, found …": "name a node as `kubectl get nodes` lists it",
  "--…: expected --stack, found --ssh": "leave the flag out, or use `--stack`",
  "kubectl: expected a list of pods, found something else": "look at what `kubectl get pods --output=json` prints",
  "--stack-output …: expected the logins of a SocketBypass, found something else at …":
    "export `bypass.logins`, run `pulumi up`, or name the output by `--stack-output`",
  "-o …: expected a recording, found something else at …": "report it: what was recorded does not fit the format",
  "answers with a line of metrics of more than … bytes": otherVersion,
  "answers with more than … lines of metrics": otherVersion,
  "answers with no JSON: …": otherVersion,
  "answers with no OpenMetrics text: its end is missing": otherVersion,
  "answers with no OpenMetrics text: …": otherVersion,
  "answers with no clock": otherVersion,
  "answers with something else than its counters and clocks": otherVersion,
  "prints a line of more than … bytes": otherVersion,
  "…: expected a file that record wrote, found something else at …": "record again with this version",
  "…: expected a recording, found none: …": "name a file that `npx socket-bypass record` has written",
  "…: expected at most … bytes, found more": "name a file that `npx socket-bypass record` has written",
};
