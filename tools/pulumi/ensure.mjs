#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0

// Finds or makes a Pulumi engine with the command provider, in plain Node: it runs before any
// package is installed.
//
// usage: node tools/pulumi/ensure.mjs [--json] [--kubernetes] [--languages]
//   The last line of stdout is {"pulumi", "home", "origin", "commandProvider", "env"}; --json
//   leaves out everything else that it would say.
//   --kubernetes adds the Kubernetes provider to the home, and "cluster" to the line: the binary of
//   which test/e2e/kubernetes makes clusters.
//   --languages adds "polyglot" to the line: a CLI that also runs programs in YAML, Python and Go.
// environment:
//   SOCKET_BYPASS_ENGINE=path|release|build   this way only (default: the first that works)
//   SOCKET_BYPASS_PULUMI_SHA256               digest of the official release's archive; without it
//                                             none is downloaded
//   SOCKET_BYPASS_RELEASES_URL                another address of the folder with that archive
//   XDG_CACHE_HOME                            where the cache is (default: ~/.cache)
import { delimiter, dirname } from "node:path";
import { findCli, origins, provideLanguages } from "./cli.mjs";
import { provideCommand } from "./command-provider.mjs";
import { COMMAND_VERSION } from "./entries.mjs";
import { provideCluster, provideKubernetes } from "./kubernetes-provider.mjs";
import { EngineError, say } from "./run.mjs";

await main(process.argv.slice(2));

async function main(args) {
  const unknown = args.find((arg) => !["--json", "--kubernetes", "--languages"].includes(arg));
  if (unknown !== undefined) usage(`expected --json, --kubernetes, --languages or nothing, found ${unknown}`);
  const forced = process.env.SOCKET_BYPASS_ENGINE || undefined;
  if (forced !== undefined && !origins.includes(forced)) {
    usage(`SOCKET_BYPASS_ENGINE: expected one of ${origins.join(", ")}, found ${forced}`);
  }
  try {
    const cli = await findCli(forced);
    const plugin = await provideCommand(cli, forced);
    if (!args.includes("--json")) tell(cli, plugin);
    const engine = { pulumi: cli.pulumi, origin: cli.origin, ...plugin, env: offlineEnv(cli, plugin) };
    if (args.includes("--kubernetes")) {
      await provideKubernetes(cli, plugin.home, forced);
      engine.cluster = await provideCluster();
    }
    if (args.includes("--languages")) engine.polyglot = await provideLanguages(cli);
    console.log(JSON.stringify(engine));
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    say(error.message);
    process.exitCode = 1;
  }
}

function usage(text) {
  say(text);
  process.exit(2);
}

function tell({ origin, pulumi }, { commandProvider }) {
  const from = { path: "found on PATH", release: "of the official release", build: "built from Go modules" };
  say(`pulumi ${from[origin]}: ${pulumi}`);
  if (commandProvider === "official") return;
  say(
    `command provider: a stand-in for ${COMMAND_VERSION}, in a private PULUMI_HOME; it refuses SSH (docs/contributing/engine.md)`,
  );
}

/**
 * The variables that a caller merges into its environment. PULUMI_BACKEND_URL and
 * PULUMI_CONFIG_PASSPHRASE are up to the caller.
 */
function offlineEnv({ origin, pulumi }, { home }) {
  return {
    PATH: [dirname(pulumi), process.env.PATH].filter(Boolean).join(delimiter),
    PULUMI_HOME: home,
    PULUMI_SKIP_UPDATE_CHECK: "true",
    PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true",
    PULUMI_DISABLE_REGISTRY_RESOLVE: "true",
    PULUMI_CREDENTIAL_STORE: "plaintext",
    PULUMI_SUPPRESS_NEO_LINK: "true",
    PULUMI_DIY_BACKEND_DISABLE_CHECKPOINT_BACKUPS: "true",
    // The CLI of a user may have its language hosts on PATH only.
    ...(origin === "path" ? {} : { PULUMI_IGNORE_AMBIENT_PLUGINS: "true" }),
  };
}
