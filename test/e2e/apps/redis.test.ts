// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { Datapath } from "../../bpf/datapath.js";
import { temporaryFolder } from "../../support/host.js";
import { freePort } from "../../support/port.js";
import { client, expectRedirected, isSkippedWithout, Program } from "./program.js";

describe.skipIf(isSkippedWithout("redis-server", "redis-cli", "redis-benchmark", "python3"))("Redis", () => {
  test("random keys, large values, pipelines, messages to a subscriber and its own benchmark come through", async () => {
    const path = await Datapath.make();
    const port = await serve(path);
    const tool = ["redis-benchmark", "-h", "127.0.0.1", "-p", port, "-q", "-t", "set,get,lpush,lrange_100", "-n", 5000];
    for (const words of [
      [...client("keys"), "use", port],
      [...client("keys"), "publish", port],
      [...tool, "-P", 8],
      tool,
    ]) {
      expect(await new Program(path, words).result()).not.toMatch(/error|Traceback/i);
    }
    await expectRedirected(path, 50, 5000, 2_000_000);
  });

  test("a replica gets the data from before and after it connects", async () => {
    const path = await Datapath.make();
    const [primary, replica] = [await serve(path), await serve(path)];
    await new Program(path, [...client("keys"), "same", primary, replica]).result();
    await expectRedirected(path, 3, 500, 1_000_000);
  });

  // hiredis in blocking mode treats EAGAIN as an error. SIGSTOP and SIGCONT stand in for a
  // debugger, job control or `docker pause`.
  test("a limit: redis-cli in a blocking call fails when it is stopped and continued", async () => {
    const path = await Datapath.make();
    const port = await serve(path);
    const waiter = new Program(path, ["redis-cli", "-p", port, "-r", 1, "BLPOP", "queue", 5]);
    await new Promise((wake) => setTimeout(wake, 700));
    waiter.kill("SIGSTOP");
    await new Promise((wake) => setTimeout(wake, 200));
    waiter.kill("SIGCONT");
    await new Promise((wake) => setTimeout(wake, 200));
    await new Program(path, ["redis-cli", "-p", port, "RPUSH", "queue", "value"]).result();
    await expect(waiter.result()).rejects.toThrow("Resource temporarily unavailable");
  });
});

async function serve(path: Datapath): Promise<number> {
  const port = await freePort();
  const words = [
    "redis-server",
    "--port",
    port,
    "--bind",
    "127.0.0.1",
    "--save",
    "",
    "--appendonly",
    "no",
    "--dir",
    temporaryFolder(),
  ];
  await new Program(path, words).listens(port);
  return port;
}
