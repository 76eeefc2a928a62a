// SPDX-License-Identifier: Apache-2.0
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import { withCleanup } from "../../tools/pulumi/with-cleanup.mjs";

export interface Kernel {
  readonly name: string;
  readonly suite: string;
  /** Debian's name of its processor. */
  readonly architecture: "amd64" | "arm64";
  /** Where the kernel and bpftool come from; default: the suite. */
  readonly from?: string;
  /** Packages besides those that every machine has. */
  readonly packages?: readonly string[];
}

export interface Image {
  readonly folder: string;
  readonly architecture: Kernel["architecture"];
  /** Versions of its packages, by name. */
  readonly packages: Record<string, string>;
}

export const kernels: readonly Kernel[] = [
  { name: "debian12", architecture: "amd64", suite: "bookworm" },
  { name: "debian13", architecture: "amd64", suite: "trixie" },
  { name: "debian13-backports", architecture: "amd64", suite: "trixie", from: "trixie-backports" },
  { name: "debian13-arm64", architecture: "arm64", suite: "trixie" },
];

// The XDG rules: a relative path counts as unset.
const xdg = process.env.XDG_CACHE_HOME ?? "";
export const cache = join(isAbsolute(xdg) ? xdg : join(homedir(), ".cache"), "socket-bypass", "kernels");

export function say(text: string): void {
  process.stderr.write(`kernels: ${text}\n`);
}

/**
 * Finds what a virtual machine boots from, and builds it if there is none of the same recipe and
 * packages. With `isAny`, any image of the same recipe will do, even if the archive has newer
 * packages, so that no network is needed.
 */
export async function getImage(kernel: Kernel, isAny: boolean): Promise<Image> {
  const recipe = digest(["image.sh", "guest.sh"].map((name) => fs.readFileSync(join(__dirname, name), "utf8")));
  const prefix = `${kernel.name}-${digest([recipe, kernel.architecture, kernel.suite, kernel.from ?? "", ...more(kernel)])}`;
  fs.mkdirSync(cache, { recursive: true });
  removeLeftOvers();
  const made = newest(prefix);
  if (isAny && made !== undefined) return open(made, kernel);
  return await inFolder(prefix, async (part) => {
    const args = [part, kernel.architecture, kernel.suite, kernel.from ?? "", ...more(kernel)];
    say(`${kernel.name}: looking up its packages`);
    const list = await script("list", args).catch((error: Error) => {
      if (made === undefined) throw error;
      say(`${kernel.name}: ${error.message}; going on with the image of before`);
    });
    if (list === undefined && made !== undefined) return open(made, kernel);
    const folder = join(cache, `${prefix}-${digest([list ?? ""])}`);
    if (!fs.existsSync(folder)) {
      say(`${kernel.name}: making its disk of ${list?.trim().split("\n").length} packages, which takes half a minute`);
      await script("make", args);
      fs.writeFileSync(join(part, "packages"), list ?? "");
      publish(part, folder);
    }
    return open(folder, kernel);
  });
}

function more({ packages = [] }: Kernel): string[] {
  return packages.length === 0 ? [] : [packages.join()];
}

function digest(texts: readonly string[]): string {
  return createHash("sha256").update(JSON.stringify(texts)).digest("hex").slice(0, 12);
}

function newest(prefix: string): string | undefined {
  return fs
    .readdirSync(cache)
    .filter((name) => name.startsWith(`${prefix}-`))
    .map((name) => join(cache, name))
    .sort((a, b) => fs.statSync(b).mtimeMs - fs.statSync(a).mtimeMs)[0];
}

function open(folder: string, { architecture }: Kernel): Image {
  fs.utimesSync(folder, new Date(), new Date());
  const lines = fs.readFileSync(join(folder, "packages"), "utf8").trim().split("\n");
  return { folder, architecture, packages: Object.fromEntries(lines.map((line) => line.split(" "))) };
}

/**
 * Runs `work` with a temporary folder, which it may rename when it is complete. What an
 * interruption leaves is removed.
 */
async function inFolder<T>(prefix: string, work: (part: string) => Promise<T>): Promise<T> {
  const part = join(cache, `${prefix}.part-${process.pid}`);
  fs.mkdirSync(part);
  return await withCleanup(
    () => fs.rmSync(part, { recursive: true, force: true }),
    () => work(part),
  );
}

function publish(part: string, folder: string): void {
  try {
    fs.renameSync(part, folder);
  } catch (error) {
    // Another process was faster; its folder is as good.
    if (!fs.existsSync(folder)) throw error;
  }
}

/**
 * Removes the folders of processes that were killed, and images that nobody has used for a month.
 */
function removeLeftOvers(): void {
  for (const name of fs.readdirSync(cache)) {
    const pid = /\.part-(\d+)$/.exec(name)?.[1];
    const isOld = Date.now() - fs.statSync(join(cache, name)).mtimeMs > 30 * 86_400_000;
    if (pid === undefined ? isOld : !fs.existsSync(`/proc/${pid}`)) {
      fs.rmSync(join(cache, name), { recursive: true, force: true });
    }
  }
}

async function script(verb: string, args: readonly string[]): Promise<string> {
  const child = spawn("sh", [join(__dirname, "image.sh"), verb, ...args], {
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [out, errors] = ["", ""];
  child.stdout.on("data", (data) => {
    out += data;
  });
  child.stderr.on("data", (data) => {
    errors += data;
  });
  const kill = () => {
    // Signals the process group, so that mmdebstrap and apt end as well.
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, "SIGTERM");
  };
  const code = await withCleanup(kill, () => new Promise((done) => child.once("close", done)));
  if (code !== 0) {
    throw new Error(
      `image.sh ${verb}: expected success, found exit code ${code}: ${errors.trim().split("\n").slice(-5).join("\n")}`,
    );
  }
  return out;
}
