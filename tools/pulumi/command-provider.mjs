// SPDX-License-Identifier: Apache-2.0
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { build, findBuilt, place } from "./build.mjs";
import { cacheRoot } from "./cache.mjs";
import { COMMAND_VERSION } from "./entries.mjs";
import { locked } from "./lock.mjs";
import { copyUsers, download, hasPlugin, plugin } from "./plugin.mjs";
import { withCleanup } from "./with-cleanup.mjs";

const command = plugin("command", COMMAND_VERSION);
const INSTALL_SECONDS = 30;

// There are two homes, so that neither plugin can ever be taken for the other.
export const officialHome = join(cacheRoot, "home-official");
const standInHome = join(cacheRoot, "home");

/**
 * Provides a private PULUMI_HOME with the command provider in it, as {home, commandProvider:
 * "official" | "stand-in"}.
 */
export async function provideCommand(cli, forced) {
  if (forced !== "build" && (await provideOfficial(cli))) return { home: officialHome, commandProvider: "official" };
  const standIn = findBuilt(command.program) ?? (await locked(() => build(command.program)));
  if (placedFrom() !== standIn) await locked(() => placeStandIn(standIn));
  return { home: standInHome, commandProvider: "stand-in" };
}

async function provideOfficial({ origin, pulumi }) {
  if (hasPlugin(officialHome, command) || (await copyUsers(officialHome, command))) return true;
  // If the CLI had to be built, nothing can be downloaded; if a stand-in exists, a download has
  // already been tried.
  if (origin === "build" || findBuilt(command.program) !== undefined) return false;
  const what = "official command provider";
  return await download(pulumi, officialHome, command, { what, limitSeconds: INSTALL_SECONDS });
}

// This file names the build of which the plugin is a copy.
const source = join(standInHome, command.folder, "built-from");

function placedFrom() {
  return existsSync(source) ? readFileSync(source, "utf8") : undefined;
}

function placeStandIn(standIn) {
  const folder = dirname(source);
  const part = `${folder}.part-${process.pid}`;
  mkdirSync(folder, { recursive: true });
  return withCleanup(
    () => rmSync(part, { force: true }),
    () => {
      place(standIn, part);
      // The plugin is renamed into place because a running one cannot be written to.
      renameSync(part, join(folder, command.program));
      writeFileSync(source, standIn);
    },
  );
}
