// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { accessSync, constants, existsSync, mkdirSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { buildCli, findBuiltCli } from "./build.mjs";
import { cacheRoot, isInCache, makeWhole } from "./cache.mjs";
import { allLanguages, OLDEST_PULUMI, PULUMI_VERSION } from "./entries.mjs";
import { locked } from "./lock.mjs";
import { EngineError, runLong, say } from "./run.mjs";
import { atLeast, parseVersion } from "./version.mjs";

const ANSWER_SECONDS = 5;
const INSTALL_SECONDS = 180;
/**
 * The environment variable with the digest of the official release's archive; without it the
 * release is not downloaded.
 */
const DIGEST = "SOCKET_BYPASS_PULUMI_SHA256";

const ways = {
  path: async () => findOnPath(),
  release: async () => findInstalled() ?? (await locked(install)),
  build: async () => findBuiltCli() ?? (await locked(buildCli)),
};
export const origins = Object.keys(ways);

/** Finds the CLI as {origin, pulumi}: by the first way that works, or by the `forced` one. */
export async function findCli(forced) {
  if (forced !== undefined) return { origin: forced, pulumi: await ways[forced]() };
  // The result of an earlier run comes before a new download, so that an offline machine waits for
  // the download only once.
  const made = { release: findInstalled, build: findBuiltCli };
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
  for (const origin of process.env[DIGEST] ? Object.keys(made) : ["build"]) {
    say(`${reasons.at(-1)}; trying ${origin === "build" ? "a build from Go modules" : "the official release"}`);
    try {
      return { origin, pulumi: await ways[origin]() };
    } catch (error) {
      reasons.push(reason(error));
    }
  }
  throw new EngineError(reasons.join("\nengine: "));
}

/** The CLI with all language hosts. A release has them; to one that was built they are added. */
export async function provideLanguages({ origin, pulumi }) {
  if (origin !== "build") return pulumi;
  return findBuiltCli(allLanguages) ?? (await locked(() => buildCli(allLanguages)));
}

function reason(error) {
  if (error instanceof EngineError) return error.message;
  throw error;
}

function findOnPath() {
  const expected = `pulumi on PATH: expected ${OLDEST_PULUMI.join(".")} or newer with pulumi-language-nodejs, found`;
  // A caller that merged our env into its own has our own build on PATH.
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

const installed = join(cacheRoot, `release-${PULUMI_VERSION}`);

function findInstalled() {
  const pulumi = join(installed, "bin", "pulumi");
  return existsSync(pulumi) ? pulumi : undefined;
}

/**
 * Downloads the archive of the release. The caller must know its digest from elsewhere, so that no
 * unexpected code runs.
 */
async function install() {
  const name = `pulumi-${PULUMI_VERSION}-${process.platform}-${process.arch}.tar.gz`;
  const digest = process.env[DIGEST];
  if (!/^[0-9a-f]{64}$/.test(digest ?? "")) {
    throw new EngineError(
      `official release: expected the SHA-256 of ${name} in ${DIGEST}, found ${digest ? "another text" : "none"}`,
    );
  }
  const url = `${process.env.SOCKET_BYPASS_RELEASES_URL ?? "https://get.pulumi.com/releases/sdk"}/${name}`;
  say(`installing Pulumi ${PULUMI_VERSION} from ${url} into ${installed}, for these runs only`);
  const archive = await download(url);
  const found = createHash("sha256").update(archive).digest("hex");
  if (found !== digest) throw new EngineError(`official release: ${url}: expected SHA-256 ${digest}, found ${found}`);
  await makeWhole(installed, async (part) => {
    const file = join(part, name);
    writeFileSync(file, archive);
    mkdirSync(join(part, "bin"));
    const args = ["-xzf", file, "-C", join(part, "bin"), "--strip-components=1"];
    const { code, tail } = await runLong("tar", args, {
      what: "release",
      env: process.env,
      limitSeconds: INSTALL_SECONDS,
    });
    if (code !== 0) throw new EngineError(`official release: tar ended with ${code}:\n${tail.join("\n")}`);
    rmSync(file);
    const version = versionOf(join(part, "bin", "pulumi"));
    if (version !== PULUMI_VERSION) {
      throw new EngineError(`official release: expected pulumi ${PULUMI_VERSION}, found ${version}`);
    }
  });
  return join(installed, "bin", "pulumi");
}

async function download(url) {
  const failed = (found) => new EngineError(`official release: expected ${url} to answer, found ${found}`);
  const giveUp = new AbortController();
  const timer = setTimeout(() => giveUp.abort(), ANSWER_SECONDS * 1000);
  try {
    const answer = await fetch(url, {
      signal: AbortSignal.any([giveUp.signal, AbortSignal.timeout(INSTALL_SECONDS * 1000)]),
    });
    clearTimeout(timer);
    if (!answer.ok) throw failed(`HTTP ${answer.status}`);
    return Buffer.from(await answer.arrayBuffer());
  } catch (error) {
    if (error instanceof EngineError) throw error;
    throw failed(giveUp.signal.aborted ? `nothing for ${ANSWER_SECONDS} s` : (error.cause?.code ?? error.name));
  } finally {
    clearTimeout(timer);
  }
}
