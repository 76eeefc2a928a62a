// SPDX-License-Identifier: Apache-2.0
// Runs before any test. It removes what killed test runs have left behind (a test that ends removes
// its own things, also if it fails). It mounts a bpffs if there is none; otherwise the first use of
// the host script would mount one, with a message.
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { findMount } from "../../tools/setup/mounts.js";

const script = resolve(__dirname, "../../dist/host/socket-bypass");
const bpffs = "/sys/fs/bpf";
const pins = join(bpffs, "socket-bypass");
const link = "/usr/local/sbin/socket-bypass";

/**
 * The process that made it, according to the names that test/host/script, test/e2e/local and
 * test/package give.
 */
function makerOf(name: string): number | undefined {
  const pid = /^(?:engine-test\/t|socket-bypass-engine-t|socket-bypass-(?:test|outside)-|test-)(\d+)-/.exec(name)?.[1];
  return pid === undefined ? undefined : Number(pid);
}

function isLeft(name: string): boolean {
  const maker = makerOf(name);
  return maker !== undefined && !fs.existsSync(`/proc/${maker}`);
}

export default async function prepare(): Promise<(() => void) | undefined> {
  if (process.getuid?.() !== 0 || !fs.existsSync(script)) return undefined;
  await sweep();
  if (findMount("bpf") !== undefined) return undefined;
  execFileSync("mount", ["-t", "bpf", "-o", "mode=0700", "bpf", bpffs]);
  return () => execFileSync("umount", [bpffs]);
}

/** Removes what belongs to test processes that are gone. */
export async function sweep(): Promise<void> {
  for (const instance of list(pins)) {
    if (!isLeft(instance) && !isLeft(targetOf(join(pins, instance, "owner")))) continue;
    say(instance);
    execFileSync("sh", [script, "remove", "--instance", instance, "--force", "--drain-seconds", "0"]);
  }
  for (const folder of list("/var/lib").filter(isLeft)) {
    say(folder);
    fs.rmSync(join("/var/lib", folder), { recursive: true });
  }
  // Other programs have files there too.
  const outside = list(tmpdir()).filter((name) => name.startsWith("socket-bypass-outside-"));
  for (const folder of outside.filter(isLeft)) {
    say(folder);
    fs.rmSync(join(tmpdir(), folder), { recursive: true });
  }
  const v2 = findMount("cgroup2");
  for (const group of v2 === undefined ? [] : list(v2).filter(isLeft)) {
    say(group);
    const folder = join(`${v2}`, group);
    const kill = join(folder, "cgroup.kill");
    if (fs.existsSync(kill)) fs.writeFileSync(kill, "1");
    await removeTree(folder);
  }
  for (const space of list("/run/netns").filter(isLeft)) {
    say(space);
    execFileSync("ip", ["netns", "del", space]);
  }
  if (targetOf(link) !== "" && !fs.existsSync(link)) fs.rmSync(link);
}

async function removeTree(folder: string): Promise<void> {
  for (const below of list(folder).map((name) => join(folder, name))) {
    if (isFolder(below)) await removeTree(below);
  }
  await removeGroup(folder);
}

/** Tries repeatedly, because the last process of a cgroup may need a moment to go. */
async function removeGroup(folder: string): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      return fs.rmdirSync(folder);
    } catch (error) {
      if (tries === 50) throw error;
      await new Promise((wake) => setTimeout(wake, 100));
    }
  }
}

function list(folder: string): string[] {
  return fs.existsSync(folder) ? fs.readdirSync(folder) : [];
}

function isFolder(path: string): boolean {
  return fs.lstatSync(path).isDirectory();
}

function targetOf(path: string): string {
  return fs.lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() ? fs.readlinkSync(path) : "";
}

function say(what: string): void {
  console.warn(`test/sweep: removing ${what}, which a test run that was killed has left`);
}
