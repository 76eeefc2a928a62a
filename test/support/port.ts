// SPDX-License-Identifier: Apache-2.0
import { randomInt } from "node:crypto";
import { createServer } from "node:net";

/**
 * Finds a free port outside the range of outgoing connections, which others on this machine make
 * all the time.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(20_000, 32_000);
    const isFree = await new Promise<boolean>((done) => {
      const server = createServer().once("error", () => done(false));
      server.listen(port, () => server.close(() => done(true)));
    });
    if (isFree) return port;
  }
}
