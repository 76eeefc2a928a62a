// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { Node, type Pod } from "../host/pod/pod";
import { generation, inCgroup, type Recorded, type Scrape } from "./scene";

/** A pod that serves a node, as test/host/pod runs it; the node is a cgroup. */
export class PodScene implements Recorded {
  /** Made last: without another bpffs, the host script would pin its things in this node's. */
  private node: Node | undefined;
  private pod: Pod | undefined;
  private traffic: ChildProcess | undefined;

  constructor(
    readonly name: string,
    /** The function of traffic.py. */
    private readonly scene: string,
  ) {}

  async begin(): Promise<void> {
    const node = new Node();
    this.node = node;
    this.pod = node.start("recorded", generation);
    await this.pod.ready();
    const cgroup = join(node.group, "application");
    fs.mkdirSync(cgroup);
    const words = ["python3", join(__dirname, "traffic.py"), this.scene];
    this.traffic = spawn("sh", ["-c", inCgroup, cgroup, ...words], { stdio: ["pipe", "inherit", "inherit"] });
  }

  async scrape(): Promise<Scrape> {
    const [, status, text = ""] = /^(\d+) (.*)$/s.exec(this.pod?.ask("/metrics") ?? "") ?? [];
    if (status !== "200") throw new Error(`${this.name}: expected metrics of the pod, found ${status} ${text}`);
    return { text };
  }

  async end(): Promise<void> {
    this.traffic?.kill("SIGKILL");
    this.pod?.stop(generation);
    await this.node?.end();
  }
}
