// SPDX-License-Identifier: Apache-2.0
import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { type Engine, freshCache, parseEngine, run, temporaryFolder } from "../../tools/ensure.js";

// Not proven here: a download of the official plugin, which needs more than package registries.
const ensure = (env: Record<string, string> = {}) =>
  run("node", ["tools/pulumi/ensure.mjs", "--json", "--kubernetes"], env);
const folder = "plugins/resource-kubernetes-v4.23.0";
let engine: Engine;

beforeAll(async () => {
  engine = parseEngine(await ensure());
});

test("ensure.mjs provides the plugin that the installed @pulumi/kubernetes asks for", () => {
  const { version } = JSON.parse(readFileSync("node_modules/@pulumi/kubernetes/package.json", "utf8"));
  expect(folder).toBe(`plugins/resource-kubernetes-v${version}`);
  expect(readdirSync(join(engine.home, folder))).toContain("pulumi-resource-kubernetes");
});

test("the engine reads that plugin's schema, with the same version in it", async () => {
  const { stdout, stderr } = await run(
    engine.pulumi,
    ["package", "get-schema", "kubernetes@4.23.0"],
    engine.env,
    temporaryFolder(),
  );
  expect({ version: JSON.parse(stdout || "{}").version, stderr }).toMatchObject({ version: "4.23.0" });
});

test("Kubernetes reports the version of its modules", async () => {
  const cache = freshCache();
  symlinkSync(engine.cluster, join(cache.HOME, "kubectl"));
  symlinkSync(engine.cluster, join(cache.HOME, "etcd"));
  const kubectl = await run(join(cache.HOME, "kubectl"), ["version", "--client"]);
  expect(kubectl.stdout).toContain("Client Version: v1.34.1\n");
  const other = await run(engine.cluster, []);
  expect(other).toEqual({
    code: 2,
    stdout: "",
    stderr: "kubernetes: expected to be called etcd, kubectl, kubelet or kube-*\n",
  });
});

test("ensure.mjs copies the plugin from the user's own folder, and builds none", async () => {
  const fresh = freshCache();
  const users = join(fresh.HOME, ".pulumi", folder);
  mkdirSync(users, { recursive: true });
  cpSync(join(engine.home, folder, "pulumi-resource-kubernetes"), join(users, "pulumi-resource-kubernetes"));
  cpSync(join(engine.home, "plugins/resource-command-v1.2.1"), join(users, "../resource-command-v1.2.1"), {
    recursive: true,
  });
  const bin = join(fresh.HOME, "bin");
  cpSync(dirname(engine.pulumi), bin, { recursive: true });
  // The cache has the built Kubernetes and nothing else.
  const cache = join(fresh.XDG_CACHE_HOME, "socket-bypass/engine");
  mkdirSync(cache, { recursive: true });
  const built = dirname(engine.cluster);
  symlinkSync(built, join(cache, basename(built)));
  const env = { ...fresh, SOCKET_BYPASS_ENGINE: "path", PATH: `${bin}:${process.env.PATH}` };
  const { home } = parseEngine(await ensure(env));
  expect(readdirSync(join(home, folder))).toEqual(["pulumi-resource-kubernetes"]);
  expect(readdirSync(cache).sort()).toEqual(["home", "home-official", basename(built)].sort());
});
