// SPDX-License-Identifier: Apache-2.0
// Long: each way to find or make an engine, on one set of stand-ins.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, cpSync, existsSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { begin, type Engine, ensure, freshCache, parseEngine, run, temporaryFolder } from "./ensure.js";

// The engine of this machine, however it was found. Tests that need one of our own build use
// `built`.
let engine: Engine;
let built: Engine;

beforeAll(async () => {
  engine = parseEngine(await ensure());
  built = parseEngine(await ensure({ SOCKET_BYPASS_ENGINE: "build" }));
});

test("answers with one line of JSON that names the CLI, its home and the environment to run it with", async () => {
  expect(Object.keys(engine).sort()).toEqual(["commandProvider", "env", "home", "origin", "pulumi"]);
  expect(engine.env.PULUMI_HOME).toBe(engine.home);
  expect(engine.env.PATH?.split(":")[0]).toBe(dirname(engine.pulumi));
  const { stdout } = await run("pulumi", ["version"], engine.env);
  expect(stdout).toMatch(/^v3\.\d+\.\d+/);
});

test("prints nothing but the answer once the engine is there", async () => {
  const { stdout, stderr } = await ensure();
  expect(JSON.parse(stdout)).toEqual(engine);
  expect(stderr).toBe("");
});

test("finds the same engine in an environment into which its answer was merged", async () => {
  expect(parseEngine(await ensure(built.env))).toMatchObject({ pulumi: engine.pulumi, home: engine.home });
});

test("provides the version of the command plugin that npm installed", () => {
  const npm = JSON.parse(readFileSync("node_modules/@pulumi/command/package.json", "utf8"));
  expect(readdirSync(join(engine.home, "plugins"))).toContain(`resource-command-v${npm.version}`);
});

test("refuses an unknown origin", async () => {
  expect(await ensure({ SOCKET_BYPASS_ENGINE: "magic" })).toEqual({
    code: 2,
    stdout: "",
    stderr: "engine: SOCKET_BYPASS_ENGINE: expected one of path, release, build, found magic\n",
  });
});

describe("pulumi on PATH", () => {
  test("is used with the language host beside it", async () => {
    const folder = temporaryFolder();
    for (const name of ["pulumi", "pulumi-language-nodejs"])
      copyFileSync(join(dirname(built.pulumi), name), join(folder, name));
    const env = { SOCKET_BYPASS_ENGINE: "path", PATH: `${folder}:${process.env.PATH}` };
    expect(parseEngine(await ensure(env))).toMatchObject({ origin: "path", pulumi: join(folder, "pulumi") });
  });

  test("is refused without the language host", async () => {
    const folder = temporaryFolder();
    copyFileSync(built.pulumi, join(folder, "pulumi"));
    const { code, stderr } = await ensure({ SOCKET_BYPASS_ENGINE: "path", PATH: withoutPulumi(folder) });
    expect(stderr).toBe(
      `engine: pulumi on PATH: expected 3.182.0 or newer with pulumi-language-nodejs, found ${folder}/pulumi without it\n`,
    );
    expect(code).toBe(1);
  });

  test("is refused when older than 3.182", async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, "pulumi"), "#!/bin/sh\necho v3.99.0\n", { mode: 0o755 });
    const { stderr } = await ensure({ SOCKET_BYPASS_ENGINE: "path", PATH: withoutPulumi(folder) });
    expect(stderr).toBe(
      `engine: pulumi on PATH: expected 3.182.0 or newer with pulumi-language-nodejs, found v3.99.0 at ${folder}/pulumi\n`,
    );
  });
});

test("copies the command plugin from the user's own folder, and leaves that folder as it was", async () => {
  const fresh = freshCache();
  const plugin = "plugins/resource-command-v1.2.1";
  cpSync(join(built.home, plugin), join(fresh.HOME, ".pulumi", plugin), { recursive: true });
  const bin = join(fresh.HOME, "bin");
  cpSync(dirname(built.pulumi), bin, { recursive: true });
  const env = { ...fresh, SOCKET_BYPASS_ENGINE: "path", PATH: `${bin}:${process.env.PATH}` };
  const found = parseEngine(await ensure(env));
  const home = join(fresh.XDG_CACHE_HOME, "socket-bypass/engine/home-official");
  expect(found).toMatchObject({ commandProvider: "official", home });
  expect(readdirSync(join(home, plugin))).toEqual(readdirSync(join(fresh.HOME, ".pulumi", plugin)));
  expect(readdirSync(join(fresh.HOME, ".pulumi"))).toEqual(["plugins"]);
});

// An archive of our own build stands in for the real one, which may not be reachable.
describe("the official release", () => {
  const archive = () => {
    const folder = temporaryFolder();
    cpSync(dirname(built.pulumi), join(folder, "pulumi"), { recursive: true });
    execFileSync("tar", ["-czf", join(folder, "archive"), "-C", folder, "pulumi"]);
    return readFileSync(join(folder, "archive"));
  };
  const sha256 = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");
  const name = `pulumi-v3.259.0-${process.platform}-${process.arch}.tar.gz`;

  test("is given up if it does not answer for 5 seconds", async () => {
    const url = await serve(() => {});
    const { code, stderr } = await ensure({ ...freshCache(), ...release(url, "0".repeat(64)) });
    expect(stderr.split("\n")[1]).toBe(
      `engine: official release: expected ${url}/${name} to answer, found nothing for 5 s`,
    );
    expect(code).toBe(1);
  });

  test.each([
    ["", "none"],
    ["abc", "another text"],
  ])("is not requested without its digest (%j)", async (digest, found) => {
    let asked = 0;
    const url = await serve((_, response) => response.end(`${++asked}`));
    const { code, stderr } = await ensure({ ...freshCache(), ...release(url, digest) });
    expect(stderr).toBe(
      `engine: official release: expected the SHA-256 of ${name} in SOCKET_BYPASS_PULUMI_SHA256, found ${found}\n`,
    );
    expect([code, asked]).toEqual([1, 0]);
  });

  test("is refused and leaves nothing if one of its bytes differs", async () => {
    const bytes = archive();
    const digest = sha256(bytes);
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
    const url = await serve((_, response) => response.end(bytes));
    const fresh = freshCache();
    const { stderr } = await ensure({ ...fresh, ...release(url, digest) });
    expect(stderr.split("\n")[1]).toBe(
      `engine: official release: ${url}/${name}: expected SHA-256 ${digest}, found ${sha256(bytes)}`,
    );
    expect(made(fresh)).toEqual([]);
  });

  test("leaves nothing if it is not an archive", async () => {
    const bytes = Buffer.from("<html>");
    const url = await serve((_, response) => response.end(bytes));
    const fresh = freshCache();
    const { stderr } = await ensure({ ...fresh, ...release(url, sha256(bytes)) });
    expect(stderr).toContain("engine: official release: tar ended with 2:\n");
    expect(made(fresh)).toEqual([]);
  });

  test("is installed into the cache, and the command provider into a private home", async () => {
    const bytes = archive();
    const url = await serve((_, response) => response.end(bytes));
    const fresh = freshCache();
    const found = parseEngine(await ensure({ ...fresh, ...release(url, sha256(bytes)) }));
    const cache = join(fresh.XDG_CACHE_HOME, "socket-bypass/engine");
    expect(found).toMatchObject({ origin: "release", pulumi: `${cache}/release-v3.259.0/bin/pulumi` });
    expect(dirname(found.home)).toBe(cache);
    expect(readdirSync(fresh.HOME)).not.toContain(".pulumi");
  });
});

describe("a build from Go modules", () => {
  test("says what to install if there is no Go", async () => {
    const folder = temporaryFolder();
    const { stderr } = await ensure({ ...freshCache(), SOCKET_BYPASS_ENGINE: "build", PATH: onlyNode(folder) });
    expect(stderr).toBe(`engine: building pulumi: ${goRefusal("none")}\n`);
  });

  test("says what to install if Go is too old", async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, "go"), "#!/bin/sh\necho go1.22.1\n", { mode: 0o755 });
    const { stderr } = await ensure({ ...freshCache(), SOCKET_BYPASS_ENGINE: "build", PATH: onlyNode(folder) });
    expect(stderr).toBe(`engine: building pulumi: ${goRefusal("go1.22.1")}\n`);
  });

  test("is still used when Go is gone", async () => {
    const folder = temporaryFolder();
    const found = parseEngine(await ensure({ SOCKET_BYPASS_ENGINE: "build", PATH: onlyNode(folder) }));
    expect(found.pulumi).toBe(built.pulumi);
  });

  test.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)("leaves nothing half-made after %s", async (signal) => {
    const fresh = freshCache();
    const { child, ended } = await beginBuild(fresh);
    child.kill(signal);
    const { code, stderr } = await ended;
    expect(stderr.trimEnd().split("\n").at(-1)).toBe(
      "engine: interrupted; what is compiled so far is kept, run the same again to go on",
    );
    expect(code).toBeGreaterThan(128);
    expect(made(fresh)).toEqual([]);
    await expect.poll(() => goBuilds(fresh), { timeout: 10_000 }).toEqual([]);
  });

  test("completes after an earlier build was killed, and removes what that one left", async () => {
    const fresh = freshCache();
    const { child, ended } = await beginBuild(fresh);
    child.kill("SIGKILL");
    await ended;
    expect(made(fresh)).toEqual(expect.arrayContaining(["lock", expect.stringMatching(/\.part-\d+$/)]));
    const found = parseEngine(await ensure({ ...fresh, SOCKET_BYPASS_ENGINE: "build" }));
    expect(found).toMatchObject({ origin: "build", commandProvider: "stand-in" });
    expect(made(fresh).map((name) => name.replace(/-[0-9a-f]{12}.*/, ""))).toEqual([
      "cli",
      "home",
      "pulumi",
      "pulumi-language-nodejs",
      "pulumi-resource-command",
    ]);
  });

  test("runs once if two ask for it at the same time", async () => {
    const fresh = freshCache();
    const first = await beginBuild(fresh);
    const second = await ensure({ ...fresh, SOCKET_BYPASS_ENGINE: "build" });
    expect(second.stderr.split("\n")[0]).toBe(
      `engine: process ${first.child.pid} is making the engine already, waiting for it`,
    );
    expect(parseEngine(second)).toEqual(parseEngine(await first.ended));
  });
});

function release(url: string, digest: string) {
  return {
    ...{ SOCKET_BYPASS_ENGINE: "release", SOCKET_BYPASS_RELEASES_URL: url },
    SOCKET_BYPASS_PULUMI_SHA256: digest,
  };
}

async function serve(answer: RequestListener) {
  const server = createServer(answer).listen(0, "127.0.0.1");
  await new Promise((listening) => server.once("listening", listening));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function goRefusal(found: string) {
  return `expected Go 1.25.11 or newer on PATH, found ${found}; install Go (https://go.dev/doc/install) or Pulumi with its plugins (https://www.pulumi.com/docs/install/)`;
}

/** A PATH with `folder` first and no other pulumi. */
function withoutPulumi(folder: string) {
  const others = (process.env.PATH ?? "").split(":").filter((path) => !existsSync(join(path, "pulumi")));
  return [folder, ...others].join(":");
}

/** A PATH with `node` and what is in `folder` already, nothing else. */
function onlyNode(folder: string) {
  symlinkSync(process.execPath, join(folder, "node"));
  return folder;
}

function made(fresh: { XDG_CACHE_HOME: string }) {
  return readdirSync(join(fresh.XDG_CACHE_HOME, "socket-bypass/engine")).sort();
}

/** The process ids of `go build` that write into this cache. */
function goBuilds(fresh: { XDG_CACHE_HOME: string }) {
  return readdirSync("/proc").filter((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    const [command, action, ...rest] = commandLine(pid);
    return command?.endsWith("go") && action === "build" && rest.some((word) => word.startsWith(fresh.XDG_CACHE_HOME));
  });
}

function commandLine(pid: string) {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
  } catch {
    return []; // It ended meanwhile.
  }
}

async function beginBuild(fresh: ReturnType<typeof freshCache>) {
  const started = await begin("node", ["tools/pulumi/ensure.mjs", "--json"], {
    ...fresh,
    SOCKET_BYPASS_ENGINE: "build",
  });
  await expect.poll(() => goBuilds(fresh).length, { timeout: 30_000 }).toBeGreaterThan(0);
  await sleep(500);
  return started;
}
