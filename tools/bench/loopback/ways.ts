// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { findMount } from "../../setup/mounts";
import { probe, tools } from "./probe";

/** Plain TCP runs twice, because the difference between the two is noise. */
export type Way = "tcp" | "tcpAgain" | "article" | "bypass" | "unix";
export const ways: readonly Way[] = ["tcp", "article", "bypass", "unix", "tcpAgain"];

const v2 = mountOf("cgroup2");
const bpffs = mountOf("bpf");
const instance = `bench-${process.pid}`;
const pins = path.join(bpffs, `socket-bypass-${instance}`);
const stateDir = `/var/lib/socket-bypass-${instance}`;
const groups = { plain: groupOf("plain"), article: groupOf("article"), bypass: groupOf("bypass") };

/** The cgroup whose processes use that way. */
export function groupFor(way: Way): string {
  return way === "article" || way === "bypass" ? groups[way] : groups.plain;
}

/** A command line that runs a command in the cgroup of a way. */
export function inGroup(way: Way, ...command: readonly string[]): string[] {
  return [probe, "cgroup", groupFor(way), "--", ...command];
}

/** Makes a private cgroup for each way, with its programs attached. */
export function openWays(): void {
  for (const group of Object.values(groups)) fs.mkdirSync(group);
  host(
    ...["apply", "--generation", "0123456789ab", "--owner", "bench", "--from", tools, "--off"],
    ...["--cgroup", `/${path.basename(groups.bypass)}`, "--everything", "--splice-guard", "off"],
  );
  fs.mkdirSync(stateDir, { recursive: true });
  const object = path.join(stateDir, "article.bpf.o");
  const include = `/usr/include/${os.machine()}-linux-gnu`;
  const flags = ["-target", "bpfel", "-mcpu=v2", "-O2", "-g", "-idirafter", include];
  execFileSync("clang-19", [...flags, "-c", path.join(__dirname, "article.bpf.c"), "-o", object]);
  bpftool("prog", "loadall", object, pins, "pinmaps", path.join(pins, "maps"));
  const pinned = (name: string) => ["pinned", path.join(pins, name)];
  bpftool("prog", "attach", ...pinned("redirect_tuples"), "msg_verdict", ...pinned("maps/tuples"));
  bpftool("cgroup", "attach", groups.article, "sock_ops", ...pinned("track_tuples"), "multi");
}

/** This also works after openWays() has failed half-way. */
export function closeWays(): void {
  if (fs.existsSync(stateDir)) host("remove", "--force");
  fs.rmSync(pins, { recursive: true, force: true });
  for (const group of Object.values(groups)) if (fs.existsSync(group)) fs.rmdirSync(group);
  fs.rmSync(stateDir, { recursive: true, force: true });
}

/** A counter of the bypass, under its name in `status`. */
export function counter(name: string): number {
  const status = JSON.parse(host("status", "--json")) as { generations: { counters: Record<string, number> }[] };
  return status.generations.reduce((sum, { counters }) => sum + (counters[name] ?? 0), 0);
}

function host(...words: string[]): string {
  const where = ["--instance", instance, "--state-dir", stateDir];
  return execFileSync("sh", [path.join(tools, "socket-bypass"), ...words, ...where], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
}

function bpftool(...words: string[]): void {
  execFileSync("bpftool", words, { stdio: ["ignore", "ignore", "inherit"] });
}

function groupOf(name: string): string {
  return path.join(v2, `socket-bypass-${instance}-${name}`);
}

function mountOf(type: string): string {
  const mount = findMount(type);
  if (mount === undefined) throw new Error(`bench: expected a ${type} mount in /proc/mounts, found none; mount one`);
  return mount;
}
