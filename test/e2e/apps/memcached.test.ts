// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { Datapath } from "../../bpf/datapath.js";
import { freePort } from "../../support/port.js";
import { client, expectRedirected, isSkippedWithout, Program } from "./program.js";

describe.skipIf(isSkippedWithout("memcached", "python3"))("memcached", () => {
  test("values of 1 byte to 900 KB come back intact, one by one, pipelined and many in one answer, over four connections", async () => {
    const path = await Datapath.make();
    const port = await freePort();
    const words = ["memcached", "-u", "nobody", "-l", "127.0.0.1", "-p", port, "-U", 0, "-m", 256];
    await new Program(path, words).listens(port);
    expect(await new Program(path, [...client("cache"), port]).result()).toBe("");
    await expectRedirected(path, 4, 1000, 2_000_000);
  });
});
