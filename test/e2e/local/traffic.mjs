// SPDX-License-Identifier: Apache-2.0
// Opens connections from this process to itself through 127.0.0.1, and compares every byte that
// comes back with what was sent.
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { createInterface } from "node:readline";

const servers = await Promise.all(
  [0, 1].map(async () => {
    const server = createServer((socket) => socket.on("error", () => {}).pipe(socket));
    await once(server.listen(0, "127.0.0.1"), "listening");
    return server;
  }),
);
const sockets = [];
let flows = [];
let isFlowing = false;

async function exchange(socket, rounds) {
  for (let round = 0; round < rounds; round++) {
    const sent = randomBytes(1 + ((round * 397) % 8192));
    socket.write(sent);
    let found = Buffer.alloc(0);
    while (found.length < sent.length) {
      const chunk = socket.read();
      if (chunk !== null) found = Buffer.concat([found, chunk]);
      else {
        if (socket.destroyed || socket.readableEnded) throw new Error("a connection broke");
        await news(socket);
      }
    }
    if (!found.equals(sent)) throw new Error("other bytes came back");
  }
}

/** Resolves when something came, or nothing more will. */
function news(socket) {
  return new Promise((done) => {
    const names = ["readable", "end", "error", "close"];
    const wake = () => {
      for (const name of names) socket.off(name, wake);
      done();
    };
    for (const name of names) socket.on(name, wake);
  });
}

const verbs = {
  ports: () => servers.map((server) => server.address().port).join(" "),
  // Opens a connection, which stays open.
  open: async (port) => {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    await once(socket, "connect");
    await exchange(socket, 100);
    sockets.push(socket);
    return "exact";
  },
  again: async () => {
    for (const socket of sockets) await exchange(socket, 100);
    return `${sockets.length} exact`;
  },
  // Exchanges on every open connection, until `stop`.
  flow: () => {
    isFlowing = true;
    flows = sockets.map(async (socket) => {
      let rounds = 0;
      for (; isFlowing; rounds += 10) await exchange(socket, 10);
      return rounds;
    });
    for (const flow of flows) flow.catch(() => {});
    return "flowing";
  },
  stop: async () => {
    isFlowing = false;
    const rounds = await Promise.all(flows);
    return rounds.every((count) => count > 0) ? `${rounds.length} exact` : "nothing flowed";
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const [verb, ...words] = line.split(" ");
  console.log(await Promise.resolve(verbs[verb](...words)).catch((error) => String(error)));
}
