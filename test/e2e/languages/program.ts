// SPDX-License-Identifier: Apache-2.0
import { execFile } from "node:child_process";
import * as fs from "node:fs";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { LocalWorkspace, PulumiCommand, type Stack } from "@pulumi/pulumi/automation/index.js";
import { findPolyglot } from "../../../tools/pulumi/stack.js";
import { Machine } from "../local/machine.js";

export type Language = "yaml" | "python" | "go";

/**
 * A program of this folder in another language, with a private cgroup and state directory. It
 * reaches no cluster.
 */
export class Program extends Machine {
  override readonly project: string;
  private readonly work: string;
  private readonly engine = findPolyglot();
  private opened: Stack | undefined;
  /** What the engine finds in its environment besides. */
  more: Readonly<Record<string, string>> = {};

  /** @param released its folder, or its address and version, as `pulumi package add` takes them */
  constructor(
    private readonly language: Language,
    private readonly released: string,
    program: string = language,
  ) {
    super();
    this.project = `in-${language}`;
    this.args = { hosts: { here: { local: true } } };
    this.work = join(this.folder, language);
    fs.cpSync(join(__dirname, program), this.work, { recursive: true });
  }

  /** Does what a user types before the first preview. */
  async install(): Promise<void> {
    const isLinked = await this.link("package", "add", this.released);
    // The projects of this folder hold the link, and the line below the package.
    if (!isLinked) fs.appendFileSync(join(this.work, "Pulumi.yaml"), `packages:\n  socket-bypass: ${this.released}\n`);
    if (this.language !== "python") return;
    await this.run("python3", "-m", "venv", "venv");
    const words = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
    await this.run("venv/bin/python", ...words, "requirements.txt");
  }

  /** Does what a user types whose Pulumi.yaml has the package already. */
  async installPackages(): Promise<void> {
    await this.link("install");
  }

  /**
   * Runs a command that makes the SDK and then asks the language host to link it. Of that only
   * versions can be built that are older than the CLI and do not understand this.
   */
  private async link(...words: string[]): Promise<boolean> {
    const linked = this.run(this.engine.pulumi, ...words);
    const stderr = await linked.then(() => "", String);
    const isUnlinked = /\blinking package: /.test(stderr);
    if (!isUnlinked) await linked;
    return !isUnlinked;
  }

  /** Puts a file in the place of one of the program. */
  write(file: string, text: string): void {
    fs.writeFileSync(join(this.work, file), text);
  }

  projectFile(): string {
    return fs.readFileSync(join(this.work, "Pulumi.yaml"), "utf8");
  }

  override async open(): Promise<Stack> {
    if (this.opened !== undefined) return this.opened;
    const root = dirname(dirname(this.engine.pulumi));
    const options = { workDir: this.work, pulumiCommand: await PulumiCommand.get({ root }), envVars: this.env() };
    this.opened = await LocalWorkspace.createStack({ stackName: this.stackName, workDir: this.work }, options);
    await this.set({ cgroup: this.cgroup, stateDir: this.stateDir });
    return this.opened;
  }

  /** Sets the configuration that the program reads. */
  async set(values: Readonly<Record<string, string>>): Promise<void> {
    const stack = await this.open();
    for (const [key, value] of Object.entries(values)) await stack.setConfig(key, { value });
  }

  /** As `pulumi config set --path` does, a number stays a number. */
  async setPorts(...ports: readonly (string | number)[]): Promise<void> {
    const stack = await this.open();
    for (const [i, port] of ports.entries()) await stack.setConfig(`ports[${i}]`, { value: `${port}` }, true);
  }

  private async run(command: string, ...words: string[]): Promise<void> {
    const limits = { timeout: 900_000, killSignal: "SIGKILL", maxBuffer: 1 << 26 } as const;
    const env = { ...process.env, ...this.env() };
    await promisify(execFile)(command, words, { cwd: this.work, env, ...limits });
  }

  private env(): Record<string, string> {
    return {
      ...this.engine.env,
      PATH: [dirname(this.engine.pulumi), process.env.PATH].join(":"),
      PULUMI_BACKEND_URL: `file://${join(this.folder, "backend")}`,
      PULUMI_CONFIG_PASSPHRASE: "made for a while",
      KUBECONFIG: join(this.folder, "none"),
      SOCKET_BYPASS_PATH: `${this.toolFolder}:/usr/sbin:/usr/bin:/sbin:/bin`,
      // go.sum pins what a program in Go is built from.
      GOFLAGS: "-mod=mod -trimpath",
      ...{ GOWORK: "off", GOTOOLCHAIN: "local", CGO_ENABLED: "0" },
      ...this.more,
    };
  }
}
