// SPDX-License-Identifier: Apache-2.0
import type { Client } from "ssh2";
import { printable } from "../commands/printable";
import { patience } from "./patience";
import { type Connection, logIn, loginSeconds, wordsOf } from "./ssh-client";

/**
 * How long the remote line may run, and below how much it may print: `status` takes a second and
 * prints some thousand bytes.
 */
export const lookSeconds = 20 * patience;
/** How long the answer may take once a machine has let us in. */
const answerSeconds = lookSeconds + loginSeconds;
const largest = 1024 * 1024;

/**
 * Resolves with what a line prints on a machine. Error messages show nothing of the connection. The
 * provider has no function that runs a remote command, and the user's `ssh` takes neither a
 * password nor the text of a key.
 */
export async function lookBySsh(connection: Connection, line: string): Promise<string> {
  const clients: Client[] = [];
  // A server may keep each part within its bound, or answer keepalives and nothing else, so this
  // bounds everything together.
  const seconds = answerSeconds + (connection.proxy === undefined ? 1 : 2) * loginSeconds;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, fail) => {
    timer = setTimeout(() => fail(new Error(`gives no answer within ${seconds} s`)), seconds * 1000);
  });
  try {
    return await Promise.race([late, logIn(connection, clients).then((client) => run(client, line))]);
  } finally {
    clearTimeout(timer);
    for (const client of clients.reverse()) client.destroy();
  }
}

/** Resolves with what a line prints, within a bounded time. */
export function run(client: Client, line: string): Promise<string> {
  return new Promise((done, fail) => {
    // The remote bound stops the line; this one applies when the machine itself hangs.
    const late = setTimeout(() => fail(new Error(`gives no answer within ${answerSeconds} s`)), answerSeconds * 1000);
    const end = (error?: Error, printed = "") => {
      clearTimeout(late);
      if (error) fail(error);
      else done(printed);
    };
    client.on("close", () => end(new Error("ends the connection")));
    client.on("error", (error) => end(new Error(wordsOf(error))));
    client.exec(line, (refused, stream) => {
      if (refused) return end(new Error("accepts the login but runs no command"));
      const [printed, said]: [string[], string[]] = [[], []];
      let size = 0;
      const keep = (list: string[]) => (chunk: Buffer) => {
        size += chunk.length;
        if (size > largest) end(new Error(`prints more than ${largest} bytes`));
        else list.push(chunk.toString());
      };
      stream.on("data", keep(printed));
      stream.stderr.on("data", keep(said));
      stream.on("close", (code: number | null | undefined) => {
        if (code === 0) return end(undefined, printed.join(""));
        const last = said.join("").trim().split("\n").at(-1);
        end(new Error(`ends the command with ${code ?? "no exit status"}${last ? `: ${printable(last)}` : ""}`));
      });
    });
  });
}
