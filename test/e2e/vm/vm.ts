// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, expect } from "vitest";
import type { Host } from "../../../src/index.js";
import type { Guest } from "../../kernels/guest.js";

const list = process.env.SOCKET_BYPASS_TEST_HOSTS;
const given: { isQuick: boolean; guests: Record<string, Guest> } =
  list === undefined ? { isQuick: false, guests: {} } : JSON.parse(fs.readFileSync(list, "utf8"));

/** Only test/e2e/vm/run.ts provides machines. */
export const isSkipped = list === undefined;
export const isQuick = given.isQuick;

const children: ChildProcess[] = [];
afterAll(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
});

/** A virtual machine that the engine installs on; the tests inspect it over their own SSH. */
export class Vm {
  constructor(
    readonly name: string,
    private readonly guest: Guest,
  ) {}

  /** Path of an ssh_config in which it is `guest`. */
  get config(): string {
    return this.guest.config;
  }

  /** How the engine reaches it; an emulated processor takes seconds for a login. */
  host(): Host {
    const { port, privateKey, hostKey } = this.guest;
    return { connection: { host: "127.0.0.1", port, user: "root", privateKey, hostKey, perDialTimeout: 30 } };
  }

  run(line: string, input = ""): string {
    const words = ["-F", this.guest.config, "guest", line];
    return execFileSync("ssh", words, { input, encoding: "utf8", timeout: 300_000, stdio: "pipe" }).trim();
  }

  status(): {
    healthy: boolean;
    problems: string[];
    instance: string;
    serving: string;
    cgroup: string;
    generations: { generation: string; counters: Record<string, number> }[];
  } {
    const [found, ...others] = JSON.parse(this.run("/usr/local/sbin/socket-bypass status --json"));
    expect(others).toEqual([]);
    return found;
  }

  redirected(): number {
    return this.status().generations.reduce((sum, { counters }) => sum + (counters.redirected_messages ?? 0), 0);
  }

  unit(): string {
    return `socket-bypass-${this.status().instance}.service`;
  }

  /** Properties of a unit, as systemd reports them. */
  show(unit: string, ...names: string[]): Record<string, string> {
    const lines = this.run(`systemctl show ${names.map((name) => `-p ${name}`).join(" ")} ${unit}`).split("\n");
    return Object.fromEntries(lines.map((line) => [line.replace(/=.*/, ""), line.replace(/^[^=]*=/, "")]));
  }

  /** Exchanges a hundred messages each way between two new sockets and compares every byte. */
  talk(): string {
    return this.run("python3 -", fs.readFileSync(join(__dirname, "../ssh/talk.py"), "utf8"));
  }

  /**
   * Starts connections that talk until they are stopped and compare every byte. Returns once all of
   * them do.
   */
  async startLoad(): Promise<Load> {
    this.run("cat >/run/load.py", fs.readFileSync(join(__dirname, "load.py"), "utf8"));
    const child = spawn("ssh", ["-F", this.guest.config, "guest", "python3 /run/load.py"], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    children.push(child);
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const next = async () => String((await lines.next()).value);
    expect(await next()).toBe("talking");
    return {
      rounds: async () => {
        child.stdin.write("rounds\n");
        return (await next()).split(" ").map(Number);
      },
      stop: async () => {
        const closed = once(child, "close");
        child.stdin.end();
        const said = await next();
        await closed;
        return said;
      },
    };
  }

  /**
   * Reboots the machine, and waits until it answers again and has started all of its services. A
   * "power cut" writes nothing to the disk before.
   */
  async reboot(how: "asked" | "power cut"): Promise<void> {
    const before = this.bootId();
    const line = how === "asked" ? "systemctl reboot" : "echo b >/proc/sysrq-trigger";
    // The connection may break meanwhile.
    this.run(`nohup sh -c 'sleep 1; ${line}' >/dev/null 2>&1 &`);
    const end = Date.now() + 400_000;
    for (let found = before; found === before || found === ""; found = this.bootId()) {
      if (Date.now() > end) throw new Error(`${this.name}: expected it to boot again, found ${found || "no answer"}`);
      await new Promise((wake) => setTimeout(wake, 1000));
    }
    this.run("systemctl is-system-running --wait || systemctl --failed --no-legend");
  }

  private bootId(): string {
    try {
      return this.run("cat /proc/sys/kernel/random/boot_id");
    } catch {
      return "";
    }
  }

  /** Lists what is left of the product on it. */
  traces(): string[] {
    const line = `ls -d /sys/fs/bpf/socket-bypass /var/lib/socket-bypass /usr/local/sbin/socket-bypass 2>/dev/null
      find /etc/systemd /run/systemd -name 'socket-bypass*'; systemctl list-units --all --no-legend 'socket-bypass*'
      bpftool cgroup tree; bpftool map list | grep -E 'sockets|claims'; find /sys/fs/cgroup -name '*socket-bypass*'; true`;
    return this.run(line)
      .split("\n")
      .filter((found) => /socket-bypass|sock_ops|sockets|claims/.test(found));
  }
}

export interface Load {
  /** The rounds of each connection so far. */
  readonly rounds: () => Promise<number[]>;
  readonly stop: () => Promise<string>;
}

export const vms = Object.entries(given.guests).map(([name, guest]) => new Vm(name, guest));
