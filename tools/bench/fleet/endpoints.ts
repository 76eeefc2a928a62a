// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * Answers in place of a host: with a serial, and for the self-test with a line of JSON. It asks for
 * the files and reads them to their end.
 */
const recorder = `#!/bin/sh
digest=\${SSH_ORIGINAL_COMMAND##* }
case $SSH_ORIGINAL_COMMAND in *" receive.sh "*) echo "wants $digest" ;; esac
cat >/dev/null
case $SSH_ORIGINAL_COMMAND in
*" receive.sh "*) echo "has $digest" ;;
*" selftest "*) echo '{"serial":1,"selftest":"off","kernel":"none","machine":"none","pairs":0,"redirected":0,"spliceGuard":"none","facts":null}' ;;
*) echo 1 ;;
esac
`;

/** Real sshds, each in a network namespace of its own. */
export class Endpoints {
  readonly folder = fs.mkdtempSync(join(tmpdir(), "socket-bypass-fleet-"));
  readonly key = join(this.folder, "user");
  readonly addresses: string[] = [];
  private readonly names: string[] = [];
  private readonly sshds: ChildProcess[] = [];
  private accepted = 0;
  private madeRun: string | undefined;

  /**
   * At most 240 endpoints. Each listens on port 22 and, if `ports` is more than 1, on those after
   * it. The caller must call `close`, also when this fails.
   */
  async open(count: number, ports = 1): Promise<this> {
    // sshd confines its unprivileged part to this folder, which its service would create, but that
    // may be off.
    this.madeRun = fs.mkdirSync("/run/sshd", { recursive: true, mode: 0o755 });
    for (const name of ["host", "user"])
      execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", join(this.folder, name)]);
    fs.writeFileSync(join(this.folder, "recorder"), recorder, { mode: 0o755 });
    const users = fs.readFileSync("/etc/passwd", "utf8").replace(/^(root:.*:)[^:\n]*$/m, "$1/bin/sh");
    fs.writeFileSync(join(this.folder, "passwd"), users);
    fs.chmodSync(this.folder, 0o755);
    for (let number = 0; number < count; number++) this.addPlace(number);
    await Promise.all(
      this.addresses.map((address, number) => this.startSshd(address, ports, this.names[number] ?? "")),
    );
    return this;
  }

  private addPlace(number: number): void {
    const name = `test-${process.pid}-fleet${number}`;
    // Each process uses four networks of 198.18.0.0/15, so that two processes at once, or the rest
    // of a killed one, do not answer for each other.
    const network = (process.pid % 128) * 4 + Math.floor(number / 60);
    const net = `198.${18 + (network >> 8)}.${network & 255}`;
    const [near, far] = [`${net}.${(number % 60) * 4 + 1}`, `${net}.${(number % 60) * 4 + 2}`];
    const device = `sbf${process.pid % 100_000}x${number}`;
    ip("netns", "add", name);
    this.names.push(name);
    ip("link", "add", device, "type", "veth", "peer", "name", "far0", "netns", name);
    ip("addr", "add", `${near}/30`, "dev", device);
    ip("link", "set", device, "up");
    ip("-n", name, "addr", "add", `${far}/30`, "dev", "far0");
    ip("-n", name, "link", "set", "far0", "up");
    this.addresses.push(far);
  }

  private startSshd(address: string, ports: number, name: string): Promise<void> {
    const options = [
      ...Array.from({ length: ports }, (_, at) => `ListenAddress=${address}:${22 + at}`),
      `HostKey=${join(this.folder, "host")}`,
      `AuthorizedKeysFile=${join(this.folder, "user.pub")}`,
      `ForceCommand=${join(this.folder, "recorder")}`,
      ...["PidFile=none", "StrictModes=no", "PermitRootLogin=yes", "UsePAM=no", "UseDNS=no", "MaxStartups=200"],
    ];
    const words = ["/usr/sbin/sshd", "-D", "-e", "-f", "/dev/null", ...options.flatMap((option) => ["-o", option])];
    // sshd sees a user root whose shell is sh: bash reads .bashrc when sshd starts it, which may do
    // anything.
    const enter = [
      `--net=/run/netns/${name}`,
      "unshare",
      "--mount",
      "sh",
      "-c",
      'mount --bind "$0" /etc/passwd && exec "$@"',
    ];
    const sshd = spawn("nsenter", [...enter, join(this.folder, "passwd"), ...words], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.sshds.push(sshd);
    return new Promise((done, fail) => {
      let said = "";
      sshd.stderr.on("data", (chunk) => {
        const text = `${chunk}`;
        this.accepted += text.split("Accepted ").length - 1;
        said = `${said}${text}`.slice(-2000);
        if (text.includes("Server listening")) done();
      });
      sshd.once("exit", (code) =>
        fail(new Error(`sshd: expected it to listen on ${address}, found exit ${code}: ${said}`)),
      );
    });
  }

  /** How many logins there have been so far. */
  dials(): number {
    return this.accepted;
  }

  get hostKey(): string {
    return fs.readFileSync(join(this.folder, "host.pub"), "utf8");
  }

  close(): void {
    for (const sshd of this.sshds) sshd.kill();
    for (const name of this.names) ip("netns", "del", name);
    fs.rmSync(this.folder, { recursive: true, force: true });
    if (this.madeRun !== undefined) fs.rmdirSync(this.madeRun);
  }
}

function ip(...words: readonly string[]): void {
  execFileSync("ip", words, { stdio: ["ignore", "ignore", "pipe"] });
}
