// SPDX-License-Identifier: Apache-2.0
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { build, findBuilt, place } from "./build.mjs";
import { cacheRoot, isInCache, makeWhole } from "./cache.mjs";
import { COMMAND_VERSION } from "./entries.mjs";
import { locked } from "./lock.mjs";
import { runLong, say } from "./run.mjs";
import { undoing } from "./undoing.mjs";

const NAME = "pulumi-resource-command";
const FOLDER = join("plugins", `resource-command-v${COMMAND_VERSION}`);
const INSTALL_SECONDS = 30;

// Two homes: neither plugin can ever be taken for the other.
export const officialHome = join(cacheRoot, "home-official");
const standInHome = join(cacheRoot, "home");

/** A private PULUMI_HOME with the command provider in it, as {home, commandProvider: "official" | "stand-in"}. */
export async function provideCommand(cli, forced) {
  if (forced !== "build" && (await provideOfficial(cli))) return { home: officialHome, commandProvider: "official" };
  const standIn = findBuilt(NAME) ?? (await locked(() => build(NAME)));
  if (placedFrom() !== standIn) await locked(() => placeStandIn(standIn));
  return { home: standInHome, commandProvider: "stand-in" };
}

async function provideOfficial({ origin, pulumi }) {
  const folder = join(officialHome, FOLDER);
  if (isWhole(folder)) return true;
  const usersHome = process.env.PULUMI_HOME ?? join(homedir(), ".pulumi");
  const users = join(usersHome, FOLDER);
  if (!isInCache(`${usersHome}/`) && isWhole(users)) {
    mkdirSync(dirname(folder), { recursive: true });
    await locked(() => makeWhole(folder, (part) => cpSync(users, part, { recursive: true })));
    return true;
  }
  // A CLI that was built says that nothing can be downloaded; a stand-in that is there, that this was tried before.
  if (origin === "build" || findBuilt(NAME) !== undefined) return false;
  say(`installing the official command provider ${COMMAND_VERSION} into ${officialHome}`);
  await locked(() =>
    runLong(pulumi, ["plugin", "install", "resource", "command", COMMAND_VERSION], {
      what: "command provider",
      env: { ...process.env, PULUMI_HOME: officialHome, PULUMI_SKIP_UPDATE_CHECK: "true" },
      limitSeconds: INSTALL_SECONDS,
    }),
  );
  return isWhole(folder);
}

// The name of the build that the plugin is a copy of.
const source = join(standInHome, FOLDER, "built-from");

function placedFrom() {
  return existsSync(source) ? readFileSync(source, "utf8") : undefined;
}

function placeStandIn(standIn) {
  const folder = dirname(source);
  const part = `${folder}.part-${process.pid}`;
  mkdirSync(folder, { recursive: true });
  return undoing(
    () => rmSync(part, { force: true }),
    () => {
      place(standIn, part);
      // A rename, because a plugin that runs cannot be written to.
      renameSync(part, join(folder, NAME));
      writeFileSync(source, standIn);
    },
  );
}

/** The CLI marks an unfinished install by a file beside the folder. */
export function isWhole(folder, name = NAME) {
  return existsSync(join(folder, name)) && !existsSync(`${folder}.partial`);
}
