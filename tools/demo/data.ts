// SPDX-License-Identifier: Apache-2.0
import { randomBytes, randomInt } from "node:crypto";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { DemoError } from "./run";

export const keys = 1000;

/**
 * Writes random values of 1 byte to 16 KiB over a connection of its own and reads them back; throws
 * if one differs.
 */
export async function checkData(port: number): Promise<void> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  await once(socket, "connect");
  const replies = readReplies(socket);
  const ask = async (...words: (string | Buffer)[]) => {
    socket.write(encode(words));
    return (await replies.next()).value;
  };
  try {
    const written = new Map(
      Array.from({ length: keys }, () => [randomBytes(12).toString("hex"), randomBytes(randomInt(1, 16_385))]),
    );
    for (const [key, value] of written) {
      const answer = await ask("SET", key, value);
      if (answer?.toString() !== "OK") throw new DemoError(`SET ${key}: expected OK, found ${answer}`);
    }
    for (const [key, value] of written) {
      const answer = await ask("GET", key);
      if (!answer?.equals(value)) {
        throw new DemoError(
          `GET ${key}: expected the ${value.length} bytes that were written, found ${answer?.length ?? "no"} others`,
        );
      }
    }
  } finally {
    socket.destroy();
  }
}

function encode(words: readonly (string | Buffer)[]): Buffer {
  const parts = words.map((word) => Buffer.from(word));
  const framed = parts.flatMap((part) => [Buffer.from(`$${part.length}\r\n`), part, Buffer.from("\r\n")]);
  return Buffer.concat([Buffer.from(`*${parts.length}\r\n`), ...framed]);
}

/** Parses simple strings and bulk strings; anything else is an error of the server. */
async function* readReplies(socket: Socket): AsyncGenerator<Buffer, undefined> {
  let pending = Buffer.alloc(0);
  for await (const chunk of socket) {
    pending = Buffer.concat([pending, chunk as Buffer]);
    for (let head = pending.indexOf("\r\n"); head >= 0; head = pending.indexOf("\r\n")) {
      const line = pending.toString("latin1", 1, head);
      const kind = pending.toString("latin1", 0, 1);
      if (kind !== "+" && kind !== "$") throw new DemoError(`redis-server: expected a value, found ${kind}${line}`);
      const size = kind === "$" ? Number(line) : 0;
      const end = head + 2 + (kind === "$" ? size + 2 : 0);
      if (pending.length < end) break;
      yield kind === "$" ? pending.subarray(head + 2, head + 2 + size) : Buffer.from(line);
      pending = pending.subarray(end);
    }
  }
  return undefined;
}
