// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync, realpathSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { buildCli, findBuiltCli } from "./build.mjs";
import { cacheRoot, isInCache, makeWhole } from "./cache.mjs";
import { OLDEST_PULUMI, PULUMI_VERSION } from "./entries.mjs";
import { locked } from "./lock.mjs";
import { EngineError, runLong, say } from "./run.mjs";
import { atLeast, parseVersion } from "./version.mjs";

const ANSWER_SECONDS = 5;
const INSTALL_SECONDS = 180;

const ways = {
  path: async () => findOnPath(),
  installer: async () => findInstalled() ?? (await locked(install)),
  build: async () => findBuiltCli() ?? (await locked(buildCli)),
};
export const origins = Object.keys(ways);

/** The CLI as {origin, pulumi}: the first way that works, or the `forced` one. */
export async function findCli(forced) {
  if (forced !== undefined) return { origin: forced, pulumi: await ways[forced]() };
  // What an earlier run made comes before a new try of the installer: an offline machine waits for it once only.
  const made = { installer: findInstalled, build: findBuiltCli };
  const reasons = [];
  try {
    return { origin: "path", pulumi: findOnPath() };
  } catch (error) {
    reasons.push(reason(error));
  }
  for (const [origin, find] of Object.entries(made)) {
    const pulumi = find();
    if (pulumi !== undefined) return { origin, pulumi };
  }
  for (const origin of Object.keys(made)) {
    say(`${reasons.at(-1)}; trying ${origin === "build" ? "a build from Go modules" : "the official installer"}`);
    try {
      return { origin, pulumi: await ways[origin]() };
    } catch (error) {
      reasons.push(reason(error));
    }
  }
  throw new EngineError(reasons.join("\nengine: "));
}

function reason(error) {
  if (error instanceof EngineError) return error.message;
  throw error;
}

function findOnPath() {
  const expected = `pulumi on PATH: expected ${OLDEST_PULUMI.join(".")} or newer with pulumi-language-nodejs, found`;
  // A caller that merged our env has our own build on its PATH.
  const folders = (process.env.PATH ?? "").split(delimiter).filter((folder) => !isInCache(`${folder}/`));
  const pulumi = findIn(folders, "pulumi");
  if (pulumi === undefined) throw new EngineError(`${expected} none`);
  const version = versionOf(pulumi);
  if (!atLeast(parseVersion(version), OLDEST_PULUMI)) throw new EngineError(`${expected} ${version} at ${pulumi}`);
  if (findIn([dirname(realpathSync(pulumi)), ...folders], "pulumi-language-nodejs") === undefined) {
    throw new EngineError(`${expected} ${pulumi} without it`);
  }
  return pulumi;
}

function findIn(folders, name) {
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function versionOf(pulumi) {
  const env = { ...process.env, PULUMI_SKIP_UPDATE_CHECK: "true", PULUMI_HOME: join(cacheRoot, "home") };
  const { stdout } = spawnSync(pulumi, ["version"], { env, encoding: "utf8", timeout: 20_000 });
  return stdout?.trim() || "no version";
}

const installed = join(cacheRoot, `installer-${PULUMI_VERSION}`);

function findInstalled() {
  const pulumi = join(installed, "bin", "pulumi");
  return existsSync(pulumi) ? pulumi : undefined;
}

async function install() {
  const url = process.env.SOCKET_BYPASS_INSTALLER_URL ?? "https://get.pulumi.com";
  const script = await download(url);
  say(`installing Pulumi ${PULUMI_VERSION} with the official installer into ${installed}, for these runs only`);
  await makeWhole(installed, async (part) => {
    const file = join(part, "install.sh");
    writeFileSync(file, script);
    const args = [file, "--no-edit-path", "--install-root", part, "--version", PULUMI_VERSION.slice(1)];
    const limits = { what: "installer", env: process.env, limitSeconds: INSTALL_SECONDS };
    const { code, tail } = await runLong("sh", args, limits);
    if (code !== 0) throw new EngineError(`official installer: ended with ${code}:\n${tail.join("\n")}`);
    const version = versionOf(join(part, "bin", "pulumi"));
    if (version !== PULUMI_VERSION) {
      throw new EngineError(`official installer: expected pulumi ${PULUMI_VERSION}, found ${version}`);
    }
  });
  return join(installed, "bin", "pulumi");
}

async function download(url) {
  const failed = (found) =>
    new EngineError(`official installer: expected a script from ${url} within ${ANSWER_SECONDS} s, found ${found}`);
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(ANSWER_SECONDS * 1000) });
    const text = await answer.text();
    if (answer.ok && text.startsWith("#!")) return text;
    throw failed(`HTTP ${answer.status}`);
  } catch (error) {
    if (error instanceof EngineError) throw error;
    throw failed(error.cause?.code ?? error.name);
  }
}
