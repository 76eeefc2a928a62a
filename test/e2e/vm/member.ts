// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import * as fs from "node:fs";
import { basename, join } from "node:path";
import { shellLine } from "../../../src/commands/quote.js";
import { type Cluster, ensureCluster, type Machine } from "../kubernetes/cluster/cluster.js";
import type { Vm } from "./vm.js";

const folder = "/opt/node";
const scripts = [join(__dirname, "join.sh"), join(__dirname, "../kubernetes/cluster/node-config.sh")];

/**
 * A virtual machine as a node of a cluster. It reaches the API server by a port of its own loopback
 * that SSH forwards. Nothing reaches its pods from outside: there are no logs and no exec through
 * the API server, and no traffic between it and other nodes.
 */
export class Member implements Machine {
  readonly name = "guest";
  readonly address = "10.0.2.15";
  private tunnel: ChildProcess | undefined;

  constructor(
    private readonly vm: Vm,
    private readonly cluster: Cluster,
  ) {}

  /** Returns once the cluster says that it is ready. */
  async join(): Promise<void> {
    const binary = await ensureCluster();
    const api = join(this.cluster.folder, "api");
    this.send(binary, "kubernetes");
    this.send(join(this.cluster.folder, "image.tar"), "image.tar");
    this.send(join(api, "apiserver.crt"), "ca.crt");
    for (const script of scripts) this.send(script, basename(script));
    for (const [from, to] of [
      ["guest", "kubelet"],
      ["proxy", "proxy"],
    ]) {
      const text = fs.readFileSync(join(api, `${from}.kubeconfig`), "utf8");
      const its = text
        .replace(/(server:) .*/, "$1 https://127.0.0.1:6443")
        .replaceAll(`${api}/apiserver.crt`, `${folder}/ca.crt`);
      this.vm.run(`umask 077; cat >${folder}/${to}.kubeconfig`, its);
    }
    this.connect();
    this.vm.run(`sh ${folder}/join.sh ${this.name} ${this.address} 10.244.99.0/24 nftables`);
    await this.cluster.kubectl("wait", "--for=create", `node/${this.name}`, "--timeout=300s");
    await this.cluster.kubectl("wait", "--for=condition=Ready", `node/${this.name}`, "--timeout=300s");
  }

  private send(file: string, name: string): void {
    const line = `mkdir -p ${folder} && cat >${folder}/${name} && chmod 0700 ${folder}/${name}`;
    execFileSync("ssh", ["-F", this.vm.config, "guest", line], {
      input: fs.readFileSync(file),
      stdio: ["pipe", "ignore", "inherit"],
    });
  }

  private connect(): void {
    const port = /server: https:\/\/127\.0\.0\.1:(\d+)/.exec(fs.readFileSync(this.cluster.kubeconfig, "utf8"))?.[1];
    const words = [
      "-F",
      this.vm.config,
      "-N",
      "-o",
      "ExitOnForwardFailure=yes",
      "-R",
      `127.0.0.1:6443:127.0.0.1:${port}`,
      "guest",
    ];
    this.tunnel?.kill("SIGKILL");
    this.tunnel = spawn("ssh", words, { stdio: "ignore" });
  }

  line(...words: readonly string[]): string[] {
    return ["ssh", "-F", this.vm.config, "guest", shellLine(words)];
  }

  async run(...words: readonly string[]): Promise<string> {
    return this.vm.run(shellLine(words));
  }

  /** Loses everything in its kernel, and what was not yet written to its disk. */
  async cutPower(): Promise<void> {
    await this.vm.reboot("power cut");
    this.connect();
  }

  end(): void {
    this.tunnel?.kill("SIGKILL");
  }
}
