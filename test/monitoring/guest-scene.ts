// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn } from "node:child_process";
import { Remote } from "../kernels/remote";
import { inCgroup, type Recorded, type Scrape, usual } from "./scene";

const folder = "/opt/socket-bypass-recorded";

/** One real installation in a virtual machine with another kernel, with the splice guard. */
export class GuestScene implements Recorded {
  private readonly instance: string;
  private readonly remote: Remote;
  private traffic: ChildProcess | undefined;

  constructor(
    readonly name: string,
    /** The function of traffic.py. */
    private readonly scene: string,
    /** Path of an ssh_config with a host named `guest`. */
    private readonly config: string,
    /** The folder of what is installed. */
    private readonly bundle: string,
  ) {
    this.instance = `recorded-${name}`;
    this.remote = new Remote(config, this.instance, folder);
  }

  async begin(): Promise<void> {
    for (const path of [this.bundle, __dirname]) this.remote.send(path);
    const cgroup = `/sys/fs/cgroup/${this.instance}`;
    this.remote.sh(`mkdir ${cgroup}`);
    const flags = [...usual, "--ports", "6379-6380,5432", "--splice-guard", "require"];
    this.remote.verb(`apply --cgroup /${this.instance} ${flags.join(" ")}`);
    const line = `sh -c ${quoted(inCgroup)} ${cgroup} python3 ${folder}/traffic.py ${this.scene}`;
    this.traffic = spawn("ssh", ["-F", this.config, "guest", line], { stdio: ["pipe", "inherit", "inherit"] });
  }

  async scrape(): Promise<Scrape> {
    return { text: this.remote.sh(`sh ${folder}/socket-bypass metrics --instance ${this.instance}`) };
  }

  /** What is left ends with the machine. */
  async end(): Promise<void> {
    this.traffic?.kill("SIGKILL");
  }
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
