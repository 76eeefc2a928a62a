// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { cacheRoot, makeWhole, newestLike } from "./cache.mjs";
import { cliEntries, entries, OLDEST_GO } from "./entries.mjs";
import { EngineError, runLong, say } from "./run.mjs";
import { atLeast, parseVersion } from "./version.mjs";

const platform = `${process.platform}-${process.arch}`;

/** The built binary of an entry, if the cache has it; else undefined. */
export function findBuilt(name) {
  const start = `${name}-${sourceKey(name)}`;
  const version = goVersion();
  const exact = join(cacheRoot, `${start}-${version}-${platform}`, name);
  if (existsSync(exact)) return exact;
  // Nothing can be built without Go, so a binary that another version of Go built is better than
  // none.
  if (atLeast(parseVersion(version), OLDEST_GO)) return undefined;
  const folder = newestLike(new RegExp(`^${start}-go[^-]*-${platform}$`));
  return folder === undefined ? undefined : join(folder, name);
}

export async function build(name) {
  const found = findBuilt(name);
  if (found !== undefined) return found;
  const version = goVersion();
  if (!atLeast(parseVersion(version), OLDEST_GO)) {
    throw new EngineError(
      `building ${name}: expected Go ${OLDEST_GO.join(".")} or newer on PATH, found ${version || "none"}; install Go (https://go.dev/doc/install) or Pulumi with its plugins (https://www.pulumi.com/docs/install/)`,
    );
  }
  const folder = join(cacheRoot, `${name}-${sourceKey(name)}-${version}-${platform}`);
  await makeWhole(folder, async (part) => {
    await compile(name, join(part, name));
    copyBeside(name, part);
  });
  return join(folder, name);
}

/** The CLI with its language hosts beside it, if all of `names` are already built. */
export function findBuiltCli(names = cliEntries) {
  const built = names.map(findBuilt);
  const folder = cliFolder(built);
  return existsSync(folder) ? join(folder, "bin", "pulumi") : undefined;
}

export async function buildCli(names = cliEntries) {
  const built = [];
  for (const name of names) built.push(await build(name));
  // The Automation API takes a folder and looks for bin/pulumi in it.
  const folder = await makeWhole(cliFolder(built), (part) => {
    mkdirSync(join(part, "bin"));
    for (const program of built)
      for (const file of readdirSync(dirname(program))) place(join(dirname(program), file), join(part, "bin", file));
  });
  return join(folder, "bin", "pulumi");
}

/**
 * Puts a built binary at `path`, by a hard link where the file system allows one, so that it takes
 * no more space.
 */
export function place(binary, path) {
  try {
    linkSync(binary, path);
  } catch {
    copyFileSync(binary, path);
  }
}

function cliFolder(built) {
  return join(cacheRoot, `cli-${digest(built.join("\n"))}`);
}

async function compile(name, output) {
  const { package: target, tags, ldflags, usually, embeds } = entries[name];
  say(`building ${name} from Go modules, which takes about ${usually} the first time and is kept in ${cacheRoot}`);
  const cwd = embeds === undefined ? folderOf(name) : gatherSources(name, dirname(output));
  const args = [
    "build",
    "-v",
    "-mod=readonly",
    "-buildvcs=false",
    "-trimpath",
    "-tags",
    tags,
    "-ldflags",
    `-s -w ${ldflags}`,
  ];
  const { code, tail, seconds } = await runLong("go", [...args, "-o", output, target], {
    cwd,
    // Leftovers of a killed build go with the unfinished folder.
    env: { ...goEnv(), GOTMPDIR: dirname(output) },
    what: name,
  });
  if (code !== 0) throw new EngineError(`building ${name}: go build ended with ${code}:\n${tail.join("\n")}`);
  if (embeds !== undefined) rmSync(cwd, { recursive: true });
  say(`built ${name} in ${seconds} s`);
}

/** Copies the program that the entry looks for in its own folder. */
function copyBeside(name, part) {
  const { beside } = entries[name];
  if (beside === undefined) return;
  const copy = join(part, basename(beside.file));
  copyFileSync(join(moduleFolder(name, beside.module), beside.file), copy);
  chmodSync(copy, 0o755);
}

/** Copies the sources of an entry to a folder in `part`, beside the files that they embed. */
function gatherSources(name, part) {
  const { module, files, version } = entries[name].embeds;
  const sources = moduleFolder(name, module);
  const folder = join(part, "source");
  mkdirSync(folder);
  for (const source of sourcesOf(name)) copyFileSync(source, join(folder, basename(source)));
  for (const [i, file] of files.entries()) {
    const content = JSON.parse(readFileSync(join(sources, file), "utf8"));
    writeFileSync(join(folder, basename(file)), JSON.stringify(i === 0 ? { ...content, version } : content));
  }
  return folder;
}

/** The folder with the sources of a module that go.mod of an entry names. */
function moduleFolder(name, module) {
  const answer = spawnSync("go", ["mod", "download", "-json", module], {
    cwd: folderOf(name),
    env: goEnv(),
    encoding: "utf8",
  });
  if (answer.status !== 0) throw new EngineError(`building ${name}: go mod download: ${answer.stderr}${answer.stdout}`);
  return JSON.parse(answer.stdout).Dir;
}

function folderOf(name) {
  return join(import.meta.dirname, entries[name].folder ?? name);
}

function sourcesOf(name) {
  return ["go.mod", "go.sum", "main.go"].map((file) => join(folderOf(name), file)).filter(existsSync);
}

function sourceKey(name) {
  const sources = sourcesOf(name);
  // The folder of the sources does not change what is built from them.
  const { folder: _, ...how } = entries[name];
  return digest([JSON.stringify(how), ...sources.map((file) => readFileSync(file))].join("\n"));
}

function digest(text) {
  return createHash("sha256").update(text).digest("hex").slice(0, 12);
}

/** The version of Go, such as `go1.25.11`, or empty. */
function goVersion() {
  // This runs outside our modules, because their go lines could make Go download another version.
  const { stdout } = spawnSync("go", ["env", "GOVERSION"], { cwd: tmpdir(), env: goEnv(), encoding: "utf8" });
  return /^go[\w.]+/.exec(stdout ?? "")?.[0] ?? "";
}

function goEnv() {
  const env = { ...process.env, CGO_ENABLED: "0", GOWORK: "off", GOTOOLCHAIN: "local" };
  // These binaries run on this machine, whatever platform the user builds for.
  for (const name of ["GOOS", "GOARCH"]) delete env[name];
  return env;
}
