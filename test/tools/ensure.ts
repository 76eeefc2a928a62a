// SPDX-License-Identifier: Apache-2.0
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { onTestFinished, vi } from "vitest";

export const root = resolve(__dirname, "../..");

export interface Engine {
  pulumi: string;
  home: string;
  origin: "path" | "release" | "build";
  commandProvider: "official" | "stand-in";
  env: Record<string, string>;
  /** etcd and Kubernetes; only with --kubernetes. */
  cluster: string;
}

export interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs a command to its end with `env` over that of the tests; an empty value unsets the name. */
export async function run(command: string, args: string[], env: Record<string, string> = {}, cwd = root) {
  return (await begin(command, args, env, cwd)).ended;
}

export async function begin(command: string, args: string[], env: Record<string, string>, cwd = root) {
  const merged = Object.fromEntries(Object.entries({ ...process.env, ...env }).filter(([, value]) => value !== ""));
  const child = spawn(command, args, { cwd, env: merged, stdio: ["ignore", "pipe", "pipe"] });
  const result: Ended = { code: null, stdout: "", stderr: "" };
  child.stdout.on("data", (chunk) => {
    result.stdout += chunk;
  });
  child.stderr.on("data", (chunk) => {
    result.stderr += chunk;
  });
  const ended = new Promise<Ended>((done, failed) => {
    child.once("error", failed);
    child.once("close", (code) => done({ ...result, code }));
  });
  return { child, result, ended };
}

export function ensure(env: Record<string, string> = {}) {
  return run("node", ["tools/pulumi/ensure.mjs", "--json"], env);
}

export function parseEngine({ code, stdout, stderr }: Ended): Engine {
  if (code !== 0) throw new Error(`ensure.mjs ended with ${code}: ${stderr}`);
  return JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "") as Engine;
}

/** Makes a folder that is removed after the test. */
export function temporaryFolder() {
  const folder = mkdtempSync(join(tmpdir(), "socket-bypass-setup-"));
  // A program that a command has left behind may still write there, and Node's own retries list the
  // folder only once.
  const remove = () => rmSync(folder, { recursive: true, force: true });
  onTestFinished(() => vi.waitFor(remove, { timeout: 9000, interval: 250 }));
  return folder;
}

/** The environment of a machine with nothing cached but what Go itself keeps. */
export function freshCache() {
  const folder = temporaryFolder();
  const home = join(folder, "home");
  mkdirSync(home);
  return {
    HOME: home,
    XDG_CACHE_HOME: folder,
    PULUMI_HOME: "",
    GOCACHE: goEnv("GOCACHE"),
    GOMODCACHE: goEnv("GOMODCACHE"),
  };
}

function goEnv(name: string) {
  const { stdout } = spawnSync("go", ["env", name], { encoding: "utf8" });
  const value = stdout?.trim() ?? "";
  if (value === "") throw new Error("these tests build from Go modules: expected go on PATH, found none; install Go");
  return value;
}
