// SPDX-License-Identifier: Apache-2.0
import { fork, spawn } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import type { Endpoints } from "./endpoints";
import { type Asked, type Measured, parallel } from "./result";

const pins = "/sys/fs/bpf";
const article = [
  `bpftool prog load bpf_sockops.o ${pins}/bpf_sockops type sockops`,
  `bpftool cgroup attach /sys/fs/cgroup sock_ops pinned ${pins}/bpf_sockops`,
  `bpftool map pin id 7 ${pins}/sock_ops_map`,
  `bpftool prog load bpf_redir.o ${pins}/bpf_redir map name sock_ops_map pinned ${pins}/sock_ops_map`,
  `bpftool prog attach pinned ${pins}/bpf_redir msg_verdict pinned ${pins}/sock_ops_map`,
];

/** How many seconds a loop of ssh takes for the article's commands on every host. */
export async function runLoop(endpoints: Endpoints): Promise<number> {
  const known = join(endpoints.folder, "known_hosts");
  fs.writeFileSync(known, endpoints.addresses.map((address) => `${address} ${endpoints.hostKey}`).join(""));
  const options = ["-F", "none", "-i", endpoints.key, "-o", `UserKnownHostsFile=${known}`, "-o", "BatchMode=yes", "-n"];
  const waiting = [...endpoints.addresses];
  const started = performance.now();
  const work = async () => {
    for (let address = waiting.shift(); address !== undefined; address = waiting.shift()) {
      for (const command of article) await run("ssh", [...options, `root@${address}`, command]);
    }
  };
  await Promise.all(Array.from({ length: parallel }, work));
  return (performance.now() - started) / 1000;
}

function run(program: string, words: readonly string[]): Promise<void> {
  const child = spawn(program, words, { stdio: ["ignore", "ignore", "inherit"] });
  return new Promise((done, fail) => {
    child.once("error", fail);
    child.once("exit", (code) => (code === 0 ? done() : fail(new Error(`${program}: expected exit 0, found ${code}`))));
  });
}

/**
 * Creates and destroys a stack in a process of its own, as a user's program would. Gives the
 * seconds of up, of a preview without changes and of destroy, what up needed, and the size of the
 * state that it left.
 */
export async function runStack(endpoints: Endpoints, hasCheckpoints: boolean): Promise<Measured & { dials: number }> {
  const folder = fs.mkdtempSync(join(endpoints.folder, "stack-"));
  const { addresses, hostKey, key } = endpoints;
  const before = endpoints.dials();
  let dials = 0;
  let measured: Measured | undefined;
  const child = fork(join(__dirname, "stack.ts"), { stdio: ["ignore", "ignore", "inherit", "ipc"] });
  child.on("message", (said: Measured | "up") => {
    if (said === "up") dials = endpoints.dials() - before;
    else measured = said;
  });
  child.send({ folder, addresses, hostKey, privateKey: fs.readFileSync(key, "utf8"), hasCheckpoints } satisfies Asked);
  const code = await new Promise((done, fail) => child.once("error", fail).once("exit", done));
  if (code !== 0 || measured === undefined) throw new Error(`the process of a stack: expected exit 0, found ${code}`);
  return { ...measured, dials };
}
