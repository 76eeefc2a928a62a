// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import type { PreviewOptions, Stack, UpOptions } from "@pulumi/pulumi/automation/index.js";
import { expect } from "vitest";
import { SocketBypass, type SocketBypassArgs } from "../../../src/index.js";
import { createStack, findEngine } from "../../../tools/pulumi/stack.js";
import { type Ended, follow, type OnEvent, type RunFailed, stepWithout } from "../local/follow.js";
import { makeFolder } from "./far.js";

let made = 0;

/** A stack whose hosts are reached by SSH, run by the real engine. */
export class Fleet {
  readonly stackName = `ssh${process.pid}-${++made}`;
  readonly folder = makeFolder();
  private stack: Stack | undefined;
  private lines: readonly string[] = [];

  constructor(
    public args: SocketBypassArgs,
    private readonly program?: () => Promise<Record<string, unknown>>,
  ) {
    fs.mkdirSync(join(this.folder, "backend"));
  }

  async open(): Promise<Stack> {
    if (this.stack !== undefined) return this.stack;
    const usual = async () => {
      const { hosts, generation } = new SocketBypass("edge", this.args);
      return { hosts, generation };
    };
    const program = this.program ?? usual;
    this.stack = await createStack({ projectName: "ssh-test", stackName: this.stackName, program }, this.folder, {
      SOCKET_BYPASS_STAND_IN_ALLOW_REMOTE: "yes",
    });
    return this.stack;
  }

  preview = (options: PreviewOptions = {}) => this.act((stack, onEvent) => stack.preview({ ...options, onEvent }));
  up = (options: UpOptions = {}) => this.act((stack, onEvent) => stack.up({ ...options, onEvent }));
  destroy = () => this.act((stack, onEvent) => stack.destroy({ onEvent }));

  /** Returns the failure of a run that must fail. */
  async failure(run: Promise<Ended>): Promise<RunFailed> {
    return run.then(
      () => expect.fail("expected the run to fail, and it succeeded"),
      (error: RunFailed) => error,
    );
  }

  /** The messages of the current run so far. */
  heard(): string {
    return this.lines.join("");
  }

  /**
   * Ends the current run as an impatient user does: the first interrupt waits for the step that
   * runs, the second does not.
   */
  async interrupt(): Promise<void> {
    const engine = execFileSync("pgrep", ["-P", `${process.pid}`, "-x", "pulumi"], { encoding: "utf8" }).trim();
    for (let times = 0; times < 2 && fs.existsSync(`/proc/${engine}`); times++) {
      process.kill(Number(engine), "SIGINT");
      await new Promise((wake) => setTimeout(wake, 1000));
    }
  }

  private async act(run: (stack: Stack, onEvent: OnEvent) => Promise<unknown>): Promise<Ended> {
    const stack = await this.open();
    const lines: string[] = [];
    this.lines = lines;
    return await follow((onEvent) => run(stack, onEvent), stepWithout(/^edge-/), lines);
  }

  /** Runs another command of the CLI on this stack. */
  async cli(...words: readonly string[]): Promise<string> {
    const { workspace } = await this.open();
    const env = { ...process.env, ...workspace.envVars };
    return execFileSync(findEngine().pulumi, [...words, "--stack", this.stackName], {
      cwd: join(this.folder, "backend"),
      env,
      encoding: "utf8",
    });
  }

  urns(): string[] {
    const { checkpoint } = JSON.parse(this.stateFile());
    return checkpoint.latest.resources.map(({ urn }: { urn: string }) => urn);
  }

  /** The state as it is in the backend. */
  stateFile(): string {
    return fs.readFileSync(join(this.folder, "backend/.pulumi/stacks/ssh-test", `${this.stackName}.json`), "utf8");
  }
}
