// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, execFile, spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";

const root = resolve(__dirname, "../../../..");
const script = join(__dirname, "cluster.sh");
const nodeScript = join(__dirname, "node.sh");
const probe = join(root, "dist/host", `probe-${process.arch === "arm64" ? "aarch64" : "x86_64"}`);

/** The image that every node has, see image.sh; pods need imagePullPolicy Never. */
export const image = "localhost/socket-bypass:test";

const tools = ["containerd", "runc", "busybox", "nft", "iptables", "bpftool", "socat", "nsenter"];
/** What a cluster lacks here, or undefined. */
export const lacking =
  process.getuid?.() !== 0
    ? "root"
    : tools.find((tool) => spawnSync(tool, ["--version"], { stdio: "ignore" }).error !== undefined);

/**
 * Finds or builds what a cluster runs (etcd and Kubernetes, one file), and the engine with its
 * provider: many minutes the first time, a moment later on.
 */
export async function ensureCluster(): Promise<string> {
  const said = await ended("node", [join(root, "tools/pulumi/ensure.mjs"), "--json", "--kubernetes"]);
  return JSON.parse(said.trimEnd().split("\n").at(-1) ?? "").cluster;
}

export interface ClusterOptions {
  /** Default: 2. */
  readonly nodes?: number;
  /** Which cgroups the nodes have, see cluster.sh; default: hybrid. */
  readonly mode?: "hybrid" | "v2";
  /** The mode of kube-proxy; default: nftables. */
  readonly proxy?: "nftables" | "iptables";
}

/**
 * A real Kubernetes on this kernel, in namespaces and cgroups of its own. It is removed when `down`
 * returns, or when this process ends for any reason.
 */
export class Cluster {
  /**
   * The kubeconfig for programs on this machine, which reach the API by a port of the loopback
   * device.
   */
  readonly kubeconfig: string;
  /** The process that removes the cluster. */
  readonly keeper: number;
  private readonly nodes: readonly Node[];

  private constructor(
    private readonly kept: ChildProcess,
    readonly folder: string,
    nodes: number,
  ) {
    this.keeper = kept.pid ?? 0;
    this.kubeconfig = join(folder, "kubeconfig");
    this.nodes = Array.from({ length: nodes }, (_, i) => new Node(folder, i + 1));
  }

  static async make({ nodes = 2, mode = "hybrid", proxy = "nftables" }: ClusterOptions = {}): Promise<Cluster> {
    const cluster = await ensureCluster();
    // The keeper has a session of its own, because a signal from the terminal that ends this
    // process must not end the one that cleans up.
    const kept = spawn("sh", [script, `${nodes}`, mode, proxy, cluster, probe], {
      detached: true,
      stdio: ["pipe", "pipe", "pipe"],
    });
    let said = "";
    kept.stderr.on("data", (chunk) => {
      said += chunk;
    });
    const folder = await new Promise<string>((done, fail) => {
      createInterface(kept.stdout).on("line", (line) => done(line.replace(/^ready /, "")));
      kept.once("close", (code) =>
        fail(new Error(`cluster.sh: expected the nodes to be Ready, found exit ${code}: ${said}`)),
      );
    });
    return new Cluster(kept, folder, nodes);
  }

  /** Returns a node by its number, from 1. */
  node(number: number): Node {
    const node = this.nodes[number - 1];
    if (node === undefined) throw new Error(`expected a node from 1 to ${this.nodes.length}, found ${number}`);
    return node;
  }

  kubectl(...words: readonly string[]): Promise<string> {
    return ended(join(this.folder, "bin/kubectl"), ["--kubeconfig", this.kubeconfig, ...words]);
  }

  async apply(...objects: readonly object[]): Promise<string> {
    const list = JSON.stringify({ apiVersion: "v1", kind: "List", items: objects });
    return ended(join(this.folder, "bin/kubectl"), ["--kubeconfig", this.kubeconfig, "apply", "-f", "-"], list);
  }

  async down(): Promise<void> {
    if (this.kept.exitCode !== null) return;
    const closed = new Promise<number | null>((done) => this.kept.once("exit", done));
    this.kept.stdin?.end();
    const code = await closed;
    if (code !== 0) throw new Error(`cluster.sh: expected an end without anything left, found exit ${code}`);
  }
}

/** What tests need of a node, whatever it runs on. */
export interface Machine {
  readonly name: string;
  readonly address: string;
  /** The command line that runs a command on the node. */
  line(...words: readonly string[]): string[];
  run(...words: readonly string[]): Promise<string>;
}

export class Node implements Machine {
  readonly name: string;
  readonly address: string;

  constructor(
    private readonly folder: string,
    private readonly number: number,
  ) {
    this.name = `node-${number}`;
    this.address = `10.99.0.${10 + number}`;
  }

  line(...words: readonly string[]): string[] {
    return ["sh", nodeScript, "run", this.folder, `${this.number}`, ...words];
  }

  run(...words: readonly string[]): Promise<string> {
    const [command = "", ...args] = this.line(...words);
    return ended(command, args);
  }

  /** The path outside of this node for a path inside it, while it runs. */
  outside(path: string): string {
    const pid = readFileSync(join(this.folder, `${this.name}.pid`), "utf8").trim();
    return `/proc/${pid}/root${path}`;
  }

  /** Stops the node at once, as a power failure does. */
  async stop(): Promise<void> {
    await ended("sh", [nodeScript, "stop", this.folder, `${this.number}`]);
  }

  /** Starts the node after `stop`. Its kernel state is gone, and its disk is as it was. */
  async start(): Promise<void> {
    await ended("sh", [nodeScript, "start", this.folder, `${this.number}`]);
  }
}

/** Runs a command to its end and returns its stdout; an error includes its stderr. */
async function ended(command: string, args: readonly string[], input = ""): Promise<string> {
  const running = promisify(execFile)(command, args, { maxBuffer: 1 << 26 });
  running.child.stdin?.end(input);
  return (await running).stdout;
}
