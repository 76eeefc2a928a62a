// SPDX-License-Identifier: Apache-2.0
/*
 * A virtual machine on an emulated processor, which needs no KVM. SSH reaches it on a port of the
 * loopback device. Its keys are made for one run, what it writes to its disk is discarded, and it
 * can reach nothing but the SSH client.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { withCleanup } from "../../tools/pulumi/with-cleanup.mjs";
import { type Image, say } from "./image.js";

const BOOT_MS = 240_000;
const prefix = "socket-bypass-kernel-";
const systemd = "guest_init=/lib/systemd/systemd net.ifnames=0 systemd.getty_auto=0";

export interface Guest {
  /** Path of an ssh_config with a host named `guest`. */
  readonly config: string;
  /** The port of its sshd on the loopback of this machine. */
  readonly port: number;
  /** Logs in as root. */
  readonly privateKey: string;
  readonly hostKey: string;
}

export interface GuestOptions {
  /**
   * Whether it runs systemd and survives reboots, together with its disk. By default it only runs
   * tests, and ends when its kernel does.
   */
  readonly isHost?: boolean;
  /**
   * Its clock counts instructions: one is a nanosecond. It has one processor, so that a time is the
   * same whatever else this machine does.
   */
  readonly countsInstructions?: boolean;
}

/** Boots a virtual machine, runs `work` with it, and stops it in any case. */
export async function withGuest<T>(
  image: Image,
  work: (guest: Guest) => Promise<T>,
  { isHost = false, countsInstructions = false }: GuestOptions = {},
): Promise<T> {
  removeLeftOvers();
  const folder = fs.mkdtempSync(join(tmpdir(), `${prefix}${process.pid}-`));
  const children: ChildProcess[] = [];
  let isStopped = false;
  const stop = () => {
    isStopped = true;
    for (const child of children.reverse()) child.kill("SIGKILL");
    fs.rmSync(folder, { recursive: true, force: true });
  };
  return await withCleanup(stop, async () => {
    makeKeys(folder);
    const config = join(folder, "config");
    let port = 0;
    for (let tries = 1; ; tries++) {
      port = await freePort();
      fs.writeFileSync(config, sshConfig(folder, port));
      const machine = boot(image, folder, port, isHost, countsInstructions);
      children.push(machine);
      const started = Date.now();
      if (await isReached(machine, config)) {
        say(`booted in ${Math.round((Date.now() - started) / 1000)} s`);
        machine.once("exit", (code, signal) => {
          if (!isStopped) say(`the virtual machine ended by itself (${signal ?? code}): ${lastWords(folder)}`);
        });
        // A shared connection would not survive a reboot.
        if (isHost) break;
        // All later calls share this connection.
        children.push(spawn("ssh", ["-F", config, "-M", "-N", "guest"], { stdio: "ignore" }));
        for (let waited = 0; !fs.existsSync(join(folder, "ssh")) && waited < 300; waited++) await sleep(100);
        break;
      }
      const console = fs.readFileSync(join(folder, "console"), "utf8");
      machine.kill("SIGKILL");
      // It tries again, because another process may have taken the port meanwhile.
      if (tries === 3)
        throw new Error(
          `virtual machine: expected it to answer by SSH, found on its console:\n${console.slice(-2000)}`,
        );
    }
    const read = (name: string) => fs.readFileSync(join(folder, name), "utf8");
    try {
      return await work({ config, port, privateKey: read("key"), hostKey: read("host_key.pub") });
    } catch (error) {
      await sleep(1000); // a machine that has just ended says its last words
      throw error;
    }
  });
}

/** Removes the folders of processes that were killed; their machines ended with them. */
function removeLeftOvers(): void {
  for (const name of fs.readdirSync(tmpdir()).filter((name) => name.startsWith(prefix))) {
    const pid = name.slice(prefix.length).split("-")[0];
    if (!fs.existsSync(`/proc/${pid}`)) fs.rmSync(join(tmpdir(), name), { recursive: true, force: true });
  }
}

/** The end of its logs, which shows why a machine has ended, such as by a kernel panic. */
function lastWords(folder: string): string {
  return ["qemu", "console"].map((name) => fs.readFileSync(join(folder, name), "utf8").slice(-6000)).join("");
}

function makeKeys(folder: string): void {
  for (const name of ["key", "host_key"]) {
    execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "", "-f", join(folder, name)]);
  }
  fs.copyFileSync(join(folder, "key.pub"), join(folder, "authorized_keys"));
  fs.writeFileSync(join(folder, "known_hosts"), `guest ${fs.readFileSync(join(folder, "host_key.pub"), "utf8")}`);
  execFileSync("tar", ["-c", "-f", join(folder, "keys.tar"), "-C", folder, "authorized_keys", "host_key"]);
}

function sshConfig(folder: string, port: number): string {
  return `Host guest
  HostName 127.0.0.1
  HostKeyAlias guest
  Port ${port}
  User root
  IdentityFile ${folder}/key
  IdentitiesOnly yes
  UserKnownHostsFile ${folder}/known_hosts
  BatchMode yes
  ConnectTimeout 10
  LogLevel ERROR
  ControlPath ${folder}/ssh
`;
}

/**
 * la57=off saves one level of page tables. A Cortex-A72 signs no pointers, which would cost an
 * emulator time at every call.
 */
const emulators: Record<Image["architecture"], { command: string; machine: string; console: string }> = {
  amd64: { command: "qemu-system-x86_64", machine: "-cpu max,la57=off -M q35", console: "ttyS0" },
  arm64: { command: "qemu-system-aarch64", machine: "-cpu cortex-a72 -M virt", console: "ttyAMA0" },
};

/** Starts a machine, which ends with this process, however that ends. */
function boot(image: Image, folder: string, port: number, isHost: boolean, countsInstructions: boolean): ChildProcess {
  const log = fs.openSync(join(folder, "qemu"), "a");
  const disk = (file: string, more: string) => ["-drive", `file=${file},format=raw,if=virtio,${more}`];
  const { command, machine: its, console } = emulators[image.architecture];
  // Each byte of a `rep movsb` would count as an instruction.
  const processors = countsInstructions
    ? `-accel tcg,thread=single -icount shift=0 -smp 1 ${its.replace("-cpu max", "-cpu max,erms=off")}`
    : `-accel tcg,thread=multi -smp 2 ${its}`;
  const machine = spawn(
    "setpriv",
    [
      ...["--pdeathsig", "KILL", command],
      ...`${processors} -m 2048 -nodefaults -no-user-config`.split(" "),
      ...["-display", "none", ...(isHost ? [] : ["-no-reboot"])],
      ...["-serial", `file:${join(folder, "console")}`],
      ...["-kernel", join(image.folder, "kernel"), "-initrd", join(image.folder, "initrd")],
      // Interfaces keep their names, and the console asks for no login.
      ...["-append", `console=${console} panic=-1 mitigations=off quiet ${isHost ? systemd : ""}`],
      // What the machine writes goes to an unlinked file, which survives reboots and is gone when
      // the emulator ends.
      ...disk(join(image.folder, "disk.ext4"), "snapshot=on"),
      ...disk(join(folder, "keys.tar"), "readonly=on"),
      ...["-nic", `user,model=virtio-net-pci,restrict=on,hostfwd=tcp:127.0.0.1:${port}-:22`],
    ],
    { stdio: ["ignore", log, log], env: { ...process.env, TMPDIR: folder } },
  );
  fs.closeSync(log);
  return machine;
}

async function isReached(machine: ChildProcess, config: string): Promise<boolean> {
  const end = Date.now() + BOOT_MS;
  while (machine.exitCode === null && machine.signalCode === null && Date.now() < end) {
    const { status } = spawnSync("ssh", ["-F", config, "guest", "true"], { stdio: "ignore", timeout: 20_000 });
    if (status === 0) return true;
    await sleep(500);
  }
  return false;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const address = server.address();
  await new Promise((done) => server.close(done));
  if (address === null || typeof address === "string") throw new Error(`expected a port, found ${address}`);
  return address.port;
}

function sleep(ms: number): Promise<void> {
  return new Promise((wake) => setTimeout(wake, ms));
}
