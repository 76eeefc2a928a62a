// SPDX-License-Identifier: Apache-2.0
// Tests hosts with a kernel, a systemd and an sshd of their own, on which the engine of this
// machine installs: `npm run test:vm -- [--only KERNEL|both|debian12-node] [--quick]`.
//
// It tests each machine alone, then two at once, then one as a node of a Kubernetes cluster, on an
// emulated processor. With --quick it runs a few cases on one machine, from any disk that exists.
import * as fs from "node:fs";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { type Guest, withGuest } from "../../kernels/guest.js";
import { getImage, type Kernel, kernels, say } from "../../kernels/image.js";
import { runCases, SLOWNESS } from "../../kernels/vitest.js";

/** A node of a cluster, with the programs that run pods, and with AppArmor as Debian sets it up. */
const node: Kernel = {
  name: "debian12-node",
  architecture: "amd64",
  suite: "bookworm",
  packages: ["apparmor", "conntrack", "containerd", "containernetworking-plugins", "iptables", "runc"],
};
const hosts = kernels.filter(({ architecture, from }) => architecture === "amd64" && from === undefined);

const { values } = parseArgs({ options: { only: { type: "string" }, quick: { type: "boolean", default: false } } });

async function main(): Promise<void> {
  const parts = [...hosts.map(({ name }) => name), "both", node.name];
  if (values.only !== undefined && !parts.includes(values.only))
    throw new Error(`--only: expected ${parts.join(", ")}, found ${values.only}`);
  const [first, second] = hosts;
  if (first === undefined || second === undefined) throw new Error("expected two machines, found fewer");
  const isChosen = (name: string) => values.only === undefined || name === values.only;
  for (const kernel of hosts.filter(({ name }) => isChosen(name))) {
    await withHost(kernel, (guest) => play("host", { [kernel.name]: guest }));
    if (values.quick) return;
  }
  if (isChosen("both")) {
    await withHost(first, (one) =>
      withHost(second, (other) => play("both", { [first.name]: one, [second.name]: other })),
    );
  }
  if (isChosen(node.name)) await withHost(node, (guest) => play("node", { [node.name]: guest }));
}

async function withHost<T>(kernel: Kernel, work: (guest: Guest) => Promise<T>): Promise<T> {
  const image = await getImage(kernel, values.quick);
  say(`${kernel.name}: starting it`);
  return await withGuest(image, work, { isHost: true });
}

/**
 * Runs the cases of one file against these machines. The first failure ends it, because each case
 * continues from the previous one.
 */
async function play(file: string, guests: Record<string, Guest>): Promise<void> {
  const list = join(dirname(Object.values(guests)[0]?.config ?? ""), "guests.json");
  // The file contains keys.
  fs.writeFileSync(list, JSON.stringify({ isQuick: values.quick, guests }), { mode: 0o600 });
  const isOk = await runCases(["--project", "vm", "--bail=1", `test/e2e/vm/${file}.test.ts`], {
    SOCKET_BYPASS_TEST_HOSTS: list,
    SOCKET_BYPASS_LOOK_PATIENCE: `${SLOWNESS}`,
  });
  if (!isOk) {
    throw new Error(`expected every case of ${file} to pass on ${Object.keys(guests).join(" and ")}, found failures`);
  }
}

main().catch((error: Error) => {
  say(error.message);
  process.exitCode = 1;
});
