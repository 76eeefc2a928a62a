// SPDX-License-Identifier: Apache-2.0
import { cpSync, existsSync, mkdirSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { isInCache, makeWhole } from "./cache.mjs";
import { locked } from "./lock.mjs";
import { runLong, say } from "./run.mjs";

/** A resource plugin of the engine; `kind` is the CLI's name for it. */
export function plugin(kind, version) {
  return { kind, version, program: `pulumi-resource-${kind}`, folder: join("plugins", `resource-${kind}-v${version}`) };
}

/**
 * Whether a PULUMI_HOME has the plugin. The CLI marks an unfinished install by a file beside the
 * folder.
 */
export function hasPlugin(home, { program, folder }) {
  return existsSync(join(home, folder, program)) && !existsSync(`${join(home, folder)}.partial`);
}

/**
 * Copies the user's own plugin; the user's folder is read and never written to. False if there is
 * none.
 */
export async function copyUsers(home, wanted) {
  const usersHome = process.env.PULUMI_HOME ?? join(homedir(), ".pulumi");
  if (isInCache(`${usersHome}/`) || !hasPlugin(usersHome, wanted)) return false;
  const folder = join(home, wanted.folder);
  mkdirSync(dirname(folder), { recursive: true });
  await locked(() => makeWhole(folder, (part) => cpSync(join(usersHome, wanted.folder), part, { recursive: true })));
  return true;
}

/** Downloads the official plugin with the CLI. False if that did not work. */
export async function download(pulumi, home, wanted, { what, limitSeconds }) {
  say(`installing the ${what} ${wanted.version} into ${home}`);
  await locked(() =>
    runLong(pulumi, ["plugin", "install", "resource", wanted.kind, wanted.version], {
      what: what.replace("official ", ""),
      env: { ...process.env, PULUMI_HOME: home, PULUMI_SKIP_UPDATE_CHECK: "true" },
      limitSeconds,
    }),
  );
  return hasPlugin(home, wanted);
}
