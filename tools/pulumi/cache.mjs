// SPDX-License-Identifier: Apache-2.0
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import { withCleanup } from "./with-cleanup.mjs";

// By the XDG rules a relative path counts as unset.
const xdg = process.env.XDG_CACHE_HOME ?? "";
export const cacheRoot = join(isAbsolute(xdg) ? xdg : join(homedir(), ".cache"), "socket-bypass", "engine");

export function isInCache(path) {
  return path.startsWith(`${cacheRoot}/`);
}

/**
 * Makes the folder `path` completely or not at all: `fill` writes to a temporary folder, which is
 * then renamed.
 */
export async function makeWhole(path, fill) {
  if (existsSync(path)) return path;
  const part = `${path}.part-${process.pid}`;
  mkdirSync(part, { recursive: true });
  await withCleanup(
    () => rmSync(part, { recursive: true, force: true }),
    async () => {
      await fill(part);
      try {
        renameSync(part, path);
      } catch (error) {
        // Another process was faster, and its folder is as good as ours.
        if (!existsSync(path)) throw error;
      }
    },
  );
  return path;
}

/** The newest folder in the cache whose name matches, or undefined. */
export function newestLike(pattern) {
  if (!existsSync(cacheRoot)) return undefined;
  return readdirSync(cacheRoot)
    .filter((name) => pattern.test(name))
    .map((name) => join(cacheRoot, name))
    .sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs)[0];
}

/** Removes what killed processes left unfinished. */
export function removeLeftOvers() {
  for (const folder of [".", "home/plugins", "home-official/plugins"].map((name) => join(cacheRoot, name))) {
    if (!existsSync(folder)) continue;
    for (const name of readdirSync(folder)) {
      const pid = /\.part-(\d+)$/.exec(name)?.[1];
      if (pid !== undefined && !isAlive(Number(pid))) rmSync(join(folder, name), { recursive: true, force: true });
    }
  }
}

export function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: the process is alive, under another user.
    return error.code === "EPERM";
  }
}
