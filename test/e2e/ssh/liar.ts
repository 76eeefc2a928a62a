// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { type Connection as Peer, Server, type ServerChannel } from "ssh2";
import type { Connection } from "../../../src/index.js";
import { makeKeyPair } from "../../src/targets/keys.js";
import { atEnd, type Far } from "./far.js";

/** What may go wrong with one command. */
export type Fault =
  | "drops before it runs"
  | "drops while it runs"
  | "runs it and drops without a status"
  | "runs it and says 1"
  | "runs nothing and says 0"
  | "floods, then runs it"
  | "stalls";

const { private: hostKey, public: hostKeyPublic } = makeKeyPair();

/**
 * An SSH server in this process that runs commands on a far machine as a real one would, except for
 * the faults that it is told to make.
 */
export class Liar {
  /** The fault of the next command that contains `at`; later commands have none. */
  fault: { readonly at: string; readonly fault: Fault } | undefined;
  isClosed = false;
  /** The number of connections so far. */
  dials = 0;
  readonly commands: string[] = [];
  private readonly children = new Set<ChildProcess>();
  private readonly peers = new Set<Peer>();
  private readonly server: Server;

  constructor(private readonly far: Far) {
    this.server = new Server({ hostKeys: [hostKey] }, (peer) => this.meet(peer));
    atEnd(() => this.end());
  }

  async start(): Promise<this> {
    const listening = once(this.server as never, "listening");
    this.server.listen(0, "127.0.0.1");
    await listening;
    return this;
  }

  connection(): Connection {
    const { port } = this.server.address() as AddressInfo;
    const patience = { dialErrorLimit: 2, perDialTimeout: 2 };
    return { host: "127.0.0.1", port, user: "root", password: "correct-horse", hostKey: hostKeyPublic, ...patience };
  }

  private meet(peer: Peer): void {
    this.dials++;
    this.peers.add(peer);
    peer.on("close", () => this.peers.delete(peer));
    peer.on("error", () => undefined);
    peer.on("authentication", (context) => {
      const isRight = context.method === "password" && context.password === "correct-horse";
      if (isRight && !this.isClosed) context.accept();
      else context.reject(["password"]);
    });
    peer.on("session", (accept) => {
      accept().on("exec", (take, _refuse, { command }) => this.act(peer, take(), command));
    });
  }

  private act(peer: Peer, channel: ServerChannel, command: string): void {
    this.commands.push(command);
    channel.on("error", () => undefined);
    const isMeant = this.fault !== undefined && command.includes(this.fault.at);
    const fault = isMeant ? this.fault?.fault : undefined;
    if (isMeant) this.fault = undefined;
    if (fault === "stalls") return;
    if (fault === "drops before it runs") return void peer.end();
    if (fault === "floods, then runs it") {
      for (let line = 0; line < 2000; line++) {
        channel.stderr.write(`${"noise ".repeat(150)}\n`);
        channel.write(`${"more noise ".repeat(80)}\n`);
      }
    }
    const typed = fault === "runs nothing and says 0" ? "cat >/dev/null" : command;
    const child = spawn("nsenter", [...this.far.enter(), "sh", "-c", typed]);
    this.children.add(child);
    child.on("close", (code) => {
      this.children.delete(child);
      if (fault === "runs it and drops without a status") peer.end();
      else finish(channel, fault === "runs it and says 1" ? 1 : (code ?? 255));
    });
    child.stdin.on("error", () => undefined);
    child.stdout.on("data", (chunk) => channel.writable && channel.write(chunk));
    child.stderr.on("data", (chunk) => channel.writable && channel.stderr.write(chunk));
    channel.pipe(child.stdin);
    if (fault === "drops while it runs") child.once("spawn", () => peer.end());
  }

  private async end(): Promise<void> {
    for (const child of this.children) child.kill("SIGKILL");
    for (const peer of this.peers) peer.end();
    await new Promise((done) => this.server.close(done));
  }
}

function finish(channel: ServerChannel, code: number): void {
  channel.exit(code);
  channel.end();
  // The library itself closes the channel only after it has read to the end.
  channel.close();
}
