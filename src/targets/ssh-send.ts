// SPDX-License-Identifier: Apache-2.0
import type { Client } from "ssh2";
import type { Files } from "../commands/staged";
import { answerSeconds, deliver, type Running } from "./deliver";
import { type Connection, logIn, Unreached, wordsOf } from "./ssh-client";
import { run } from "./ssh-look";

/**
 * Sends the files to a line that reads them. Error messages show nothing of the connection.
 */
export function sendBySsh(connection: Connection, line: string, files: Files): Promise<number> {
  return withClient(connection, async (client) => await deliver(await start(client, line), files));
}

/** Runs a line whose output does not matter. Its errors are those of lookBySsh(). */
export async function reachBySsh(connection: Connection, line: string): Promise<void> {
  await withClient(connection, (client) => run(client, line));
}

/**
 * Dials as often as the provider would, with the same pauses, because a machine may be just
 * starting; once a machine has let us in, it tries only once.
 */
async function withClient<T>(connection: Connection, use: (client: Client) => Promise<T>): Promise<T> {
  const limit = connection.dialErrorLimit ?? 10;
  for (let [tried, pause] = [1, 100]; ; tried++, pause = Math.min(pause * 1.5, 5000)) {
    const clients: Client[] = [];
    try {
      return await use(await logIn(connection, clients, ({ perDialTimeout = 15 }) => perDialTimeout));
    } catch (error) {
      if (!(error instanceof Unreached) || (limit >= 0 && tried > limit)) throw error;
    } finally {
      for (const client of clients.reverse()) client.destroy();
    }
    await new Promise((wake) => setTimeout(wake, pause));
  }
}

function start(client: Client, line: string): Promise<Running> {
  return new Promise((done, fail) => {
    const late = setTimeout(() => fail(new Error(`gives no answer within ${answerSeconds} s`)), answerSeconds * 1000);
    const lost = new Promise<never>((_, lose) => {
      client.on("close", () => lose(new Error("ends the connection")));
      client.on("error", (error) => lose(new Error(wordsOf(error))));
    });
    lost.catch(fail);
    client.exec(line, (refused, stream) => {
      clearTimeout(late);
      if (refused) return fail(new Error("accepts the login but runs no command"));
      const closed = new Promise<number | null | undefined>((tell) => stream.on("close", tell));
      done({ stdin: stream, stdout: stream, stderr: stream.stderr, ended: Promise.race([closed, lost]) });
    });
  });
}
