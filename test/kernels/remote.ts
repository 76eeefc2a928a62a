// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import type { Status } from "../support/host";

export const generation = "0123456789ab";

/** A virtual machine that an ssh_config describes, with one instance of the bypass. */
export class Remote {
  constructor(
    private readonly config: string,
    private readonly instance: string,
    /** The folder on it for files that are sent, such as the bundle. */
    readonly folder: string,
  ) {}

  /** Runs a command line there and returns its stdout; throws if it fails. */
  sh(line: string): string {
    return execFileSync("ssh", ["-F", this.config, "guest", line], { encoding: "utf8", stdio: ["ignore", "pipe", 2] });
  }

  send(path: string): void {
    const files = execFileSync("tar", ["-c", "--exclude=__pycache__", "-C", path, "."], { maxBuffer: 1 << 28 });
    const line = `mkdir -p ${this.folder} && tar -xo -C ${this.folder}`;
    execFileSync("ssh", ["-F", this.config, "guest", line], { input: files });
  }

  verb(words: string, environment = ""): string {
    const where = `--instance ${this.instance} --owner ${this.instance} --generation ${generation}`;
    return this.sh(`${environment} sh ${this.folder}/socket-bypass ${words} ${where}`);
  }

  status(): Status {
    return JSON.parse(this.sh(`sh ${this.folder}/socket-bypass status --instance ${this.instance} --json`));
  }
}
