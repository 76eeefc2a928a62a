// SPDX-License-Identifier: Apache-2.0
import { spawn } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import { join } from "node:path";
import { SocketBypass } from "../../../src/index";
import { createStack } from "../../pulumi/stack";
import type { Endpoints } from "./endpoints";

/** The default of the engine. */
const parallel = 4 * os.cpus().length;

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
 * Creates and destroys a stack. Gives the seconds of up, of a preview without changes and of
 * destroy, what up needed, and the size of the state that it left.
 */
export async function runStack(endpoints: Endpoints, hasCheckpoints = true) {
  const folder = fs.mkdtempSync(join(endpoints.folder, "stack-"));
  const connection = { user: "root", privateKey: fs.readFileSync(endpoints.key, "utf8"), hostKey: endpoints.hostKey };
  const hosts = Object.fromEntries(
    endpoints.addresses.map((host, number) => [`web${number}`, { connection: { ...connection, host } }]),
  );
  const program = async () => {
    new SocketBypass("edge", { hosts, traffic: { ports: ["6379"] } });
  };
  fs.mkdirSync(join(folder, "backend"));
  const stack = await createStack({ projectName: "fleet", stackName: "bench", program }, folder, {
    SOCKET_BYPASS_STAND_IN_ALLOW_REMOTE: "yes",
    ...(hasCheckpoints ? {} : { PULUMI_EXPERIMENTAL: "true", PULUMI_SKIP_CHECKPOINTS: "true" }),
  });
  const before = endpoints.dials();
  const memory = watchMemory();
  const up = await seconds(() => stack.up({ parallel }));
  const peaks = memory.stop();
  const peakMiB = Object.values(peaks).reduce((sum, size) => sum + size, 0);
  const upDials = endpoints.dials() - before;
  const states = join(folder, "backend/.pulumi/stacks/fleet");
  // The engine appends to this name when it is told to compress the state.
  const state = fs
    .readdirSync(states)
    .find((name) => /^bench\.json(\.\w+)?$/.test(name) && !/\.(bak|attrs)$/.test(name));
  const stateBytes = fs.statSync(join(states, state ?? "bench.json")).size;
  const preview = await seconds(() => stack.preview({ parallel, expectNoChanges: true }));
  const destroy = await seconds(() => stack.destroy({ parallel }));
  return { up, preview, destroy, peakMiB, peaks, stateBytes, upDials };
}

async function seconds(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return (performance.now() - started) / 1000;
}

/**
 * Measures the peak memory of this process, which runs the program, of the engine and of each
 * plugin, in MiB by name. Their sum is an upper bound, because the peaks may have come at different
 * times.
 */
function watchMemory() {
  const peaks = new Map<string, { readonly name: string; readonly size: number }>();
  const look = () => {
    for (const pid of ["self", ...engines()]) {
      try {
        const status = fs.readFileSync(`/proc/${pid}/status`, "utf8");
        const peak = /^VmHWM:\s+(\d+)/m.exec(status)?.[1];
        const name = pid === "self" ? "program" : (/^Name:\s+(\S+)/m.exec(status)?.[1] ?? "?");
        if (peak !== undefined) peaks.set(pid, { name, size: Number(peak) / 1024 });
      } catch {
        // The process has ended since.
      }
    }
  };
  const timer = setInterval(look, 1000);
  return {
    stop: () => {
      look();
      clearInterval(timer);
      const sums: Record<string, number> = {};
      for (const { name, size } of peaks.values()) sums[name] = (sums[name] ?? 0) + size;
      return sums;
    },
  };
}

/** The processes of Pulumi that this process, or one of those, has started. */
function engines(): string[] {
  const parents = new Map<string, string>();
  for (const pid of fs.readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      const stat = fs.readFileSync(`/proc/${pid}/stat`, "utf8");
      const [, name = "", parent = ""] = /\((.*)\) \S (\d+)/.exec(stat) ?? [];
      if (name.startsWith("pulumi")) parents.set(pid, parent);
    } catch {
      // The process has ended since.
    }
  }
  const isOurs = (pid: string): boolean => {
    const parent = parents.get(pid);
    return parent !== undefined && (parent === `${process.pid}` || isOurs(parent));
  };
  return [...parents.keys()].filter(isOurs);
}
