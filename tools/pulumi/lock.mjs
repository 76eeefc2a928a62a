// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { cacheRoot, isAlive, removeLeftOvers } from "./cache.mjs";
import { say } from "./run.mjs";
import { withCleanup } from "./with-cleanup.mjs";

const BEAT_MS = 5_000;
// This bound is for holders in another container, whose process id means nothing here.
const DEAD_MS = 60_000;

const lock = join(cacheRoot, "lock");

/** Lets one process at a time make something; the others wait and then find it made. */
export async function locked(work) {
  mkdirSync(cacheRoot, { recursive: true });
  for (let told = false; !take(); told = true) {
    if (!told) say(`process ${holder()} is making the engine already, waiting for it`);
    await sleep(500);
  }
  const beat = setInterval(() => utimesSync(lock, new Date(), new Date()), BEAT_MS);
  return withCleanup(
    () => {
      clearInterval(beat);
      rmSync(lock, { force: true });
    },
    async () => {
      removeLeftOvers();
      return await work();
    },
  );
}

function take() {
  try {
    writeFileSync(lock, `${process.pid}\n`, { flag: "wx" });
    return true;
  } catch (error) {
    if (error.code !== "EEXIST") throw error;
  }
  // If two processes do this at once, both build. That only costs time, because results are renamed
  // into place.
  if (isStale()) rmSync(lock, { force: true });
  return false;
}

function isStale() {
  const pid = holder();
  if (pid !== "" && !isAlive(Number(pid))) return true;
  const age = statSync(lock, { throwIfNoEntry: false });
  return age !== undefined && Date.now() - age.mtimeMs > DEAD_MS;
}

function holder() {
  try {
    return readFileSync(lock, "utf8").trim();
  } catch {
    return "";
  }
}
