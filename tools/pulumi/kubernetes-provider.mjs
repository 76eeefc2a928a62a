// SPDX-License-Identifier: Apache-2.0
import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { build, findBuilt, place } from "./build.mjs";
import { makeWhole } from "./cache.mjs";
import { officialHome } from "./command-provider.mjs";
import { KUBERNETES_PLUGIN_VERSION } from "./entries.mjs";
import { locked } from "./lock.mjs";
import { copyUsers, download, hasPlugin, plugin } from "./plugin.mjs";

const kubernetes = plugin("kubernetes", KUBERNETES_PLUGIN_VERSION);
const INSTALL_SECONDS = 60;

/**
 * Puts the Kubernetes provider into `home`: a copy of the user's, a download, or a build of the
 * same code.
 */
export async function provideKubernetes({ origin, pulumi }, home, forced) {
  if (hasPlugin(home, kubernetes)) return;
  if (forced !== "build" && (await copyUsers(home, kubernetes))) return;
  // If the CLI had to be built, or the home lacks the official command provider, nothing can be
  // downloaded.
  if (origin !== "build" && home === officialHome && findBuilt(kubernetes.program) === undefined) {
    const what = "Kubernetes provider";
    if (await download(pulumi, home, kubernetes, { what, limitSeconds: INSTALL_SECONDS })) return;
  }
  const folder = join(home, kubernetes.folder);
  mkdirSync(dirname(folder), { recursive: true });
  await locked(async () => {
    const built = await build(kubernetes.program);
    await makeWhole(folder, (part) => place(built, join(part, kubernetes.program)));
  });
}

/**
 * The binary that is etcd and every program of Kubernetes, depending on the name by which it is
 * called.
 */
export async function provideCluster() {
  return findBuilt("kubernetes") ?? (await locked(() => build("kubernetes")));
}
