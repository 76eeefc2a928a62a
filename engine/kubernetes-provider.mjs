// SPDX-License-Identifier: Apache-2.0
import { cpSync, mkdirSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { build, findBuilt, place } from "./build.mjs";
import { isInCache, makeWhole } from "./cache.mjs";
import { isWhole, officialHome } from "./command-provider.mjs";
import { KUBERNETES_PLUGIN_VERSION } from "./entries.mjs";
import { locked } from "./lock.mjs";
import { runLong, say } from "./run.mjs";

const NAME = "pulumi-resource-kubernetes";
const FOLDER = join("plugins", `resource-kubernetes-v${KUBERNETES_PLUGIN_VERSION}`);
const INSTALL_SECONDS = 60;

/** Puts the Kubernetes provider into `home`: the user's own, a download, or a build of the same code. */
export async function provideKubernetes({ origin, pulumi }, home, forced) {
  const folder = join(home, FOLDER);
  if (isWhole(folder, NAME)) return;
  mkdirSync(dirname(folder), { recursive: true });
  const usersHome = process.env.PULUMI_HOME ?? join(homedir(), ".pulumi");
  const users = join(usersHome, FOLDER);
  if (forced !== "build" && !isInCache(`${usersHome}/`) && isWhole(users, NAME)) {
    await locked(() => makeWhole(folder, (part) => cpSync(users, part, { recursive: true })));
    return;
  }
  // A built CLI, or a home without the official command provider, says that nothing can be downloaded.
  if (origin !== "build" && home === officialHome && findBuilt(NAME) === undefined) {
    say(`installing the Kubernetes provider ${KUBERNETES_PLUGIN_VERSION} into ${home}`);
    await locked(() =>
      runLong(pulumi, ["plugin", "install", "resource", "kubernetes", KUBERNETES_PLUGIN_VERSION], {
        what: "Kubernetes provider",
        env: { ...process.env, PULUMI_HOME: home, PULUMI_SKIP_UPDATE_CHECK: "true" },
        limitSeconds: INSTALL_SECONDS,
      }),
    );
    if (isWhole(folder, NAME)) return;
  }
  await locked(async () => {
    const built = await build(NAME);
    await makeWhole(folder, (part) => place(built, join(part, NAME)));
  });
}

/** The binary that is etcd and each program of Kubernetes, by the name it is called by. */
export async function provideCluster() {
  return findBuilt("kubernetes") ?? (await locked(() => build("kubernetes")));
}
