// SPDX-License-Identifier: Apache-2.0
import { once } from "node:events";
import { connect } from "node:net";
import { type Connection as Peer, Server, type ServerChannel } from "ssh2";
import { afterEach } from "vitest";
import { makeKeyPair } from "./keys.js";

const { private: hostKey, public: hostKeyPublic } = makeKeyPair();
const { private: userKey } = makeKeyPair();
export const { private: encrypted } = makeKeyPair({ passphrase: "x", cipher: "aes256-ctr", rounds: 4 });
/** Functions that clean up after a test, also if it failed. */
export const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

/**
 * An SSH server in this process that lets everybody in except those who say "wrong", and passes
 * each command to `act`, or refuses or ignores it. The user `asked` cannot give his password before
 * it is asked for; the login of the user `ignored` is never answered.
 */
export async function serve(
  act: (channel: ServerChannel, command: string, peer: Peer) => void,
  isOpen: boolean | "ignores" = true,
  instead?: (peer: Peer) => void,
) {
  const server = new Server({ hostKeys: [hostKey] }, (peer) => {
    peer.on("error", () => undefined);
    peer.on("authentication", (context) => {
      if (context.username === "ignored") return;
      const isEarly = context.method === "password" && context.username === "asked";
      const isWrong = context.username === "wrong" || (context.method === "password" && context.password === "wrong");
      if (context.method === "none" || isEarly || isWrong)
        context.reject(["publickey", "password", "keyboard-interactive"]);
      else if (context.method === "keyboard-interactive")
        context.prompt("Code", (answers) => (answers[0] === "pw" ? context.accept() : context.reject()));
      else context.accept();
    });
    peer.on("ready", () => {
      peer.on("session", (accept) =>
        accept().on("exec", (take, refuse, { command }) => {
          if (isOpen === "ignores") return;
          if (isOpen) act(take(), command, peer);
          else refuse?.();
        }),
      );
      peer.on("tcpip", (accept, _refuse, { destPort }) => {
        if (instead) return instead(peer);
        const stream = accept();
        const socket = connect(destPort, "127.0.0.1");
        socket.on("error", () => stream.end());
        stream.on("error", () => socket.destroy());
        stream.pipe(socket).pipe(stream);
      });
    });
  });
  const port = await listen(server);
  ends.push(() => new Promise((done) => server.close(done)));
  return { host: "127.0.0.1", port, user: "ops", privateKey: userKey, hostKey: hostKeyPublic };
}

export async function listen(server: {
  listen(port: number, host: string): unknown;
  address(): unknown;
  on(event: string, f: () => void): unknown;
}) {
  const listening = once(server as never, "listening");
  server.listen(0, "127.0.0.1");
  await listening;
  return (server.address() as { port: number }).port;
}

export const answer =
  (text: string, code = 0) =>
  (channel: ServerChannel) => {
    channel.write(text);
    channel.exit(code);
    channel.end();
  };
