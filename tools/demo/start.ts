// SPDX-License-Identifier: Apache-2.0
// Installs the bypass of examples/local on this machine with Pulumi, and measures a real Redis with
// and without it; `npm start` runs this.
//
// usage: npm start -- [--json]
//   --json   the last line of stdout is {"tcp":{"rps","p50us","p99us"},"bypass":{…},"unix":{…},
//            "redirected":N}; everything else goes to stderr
import { checkData, keys } from "./data";
import { Engine, needRoot } from "./engine";
import { type Bypass, findBypass } from "./host";
import { type Redis, startRedis } from "./redis";
import { DemoError, say, start, withCleanup } from "./run";
import { toTable } from "./table";
import { benchmark, type Comparison, clients, compare, prime, valueBytes } from "./workload";

start(async () => {
  const args = process.argv.slice(2);
  const unknown = args.find((arg) => arg !== "--json");
  if (unknown !== undefined) {
    process.exitCode = 2;
    say(`expected --json or nothing, found ${unknown}`);
    return;
  }
  needRoot("npm start");
  const engine = await Engine.open();
  const redis = await startRedis();
  await withCleanup(
    () => redis.stop(),
    async () => {
      say(`redis-server listens on 127.0.0.1:${redis.port}`);
      await prime(redis);
      await measureBefore(redis);
      await install(engine, redis.port);
      const bypass = await findBypass();
      if (bypass === undefined) throw new DemoError("expected the bypass on this host after pulumi up, found none");
      const { found, redirected } = await measureAfter(redis, bypass);
      report(found, redirected, bypass, redis.port, args.includes("--json"));
    },
  );
});

async function measureBefore(redis: Redis): Promise<void> {
  if ((await findBypass()) !== undefined) {
    say("the bypass is here already from an earlier run");
    return;
  }
  say("measuring plain TCP while nothing is installed");
  await benchmark(redis, "tcp");
  const { rps, p50us, p99us } = await benchmark(redis, "tcp");
  say(`plain TCP, nothing installed: ${Math.round(rps)} requests/s, p50 ${p50us} us, p99 ${p99us} us`);
}

async function install(engine: Engine, port: number): Promise<void> {
  await engine.configure(port);
  say("pulumi preview");
  await engine.preview();
  say("pulumi up");
  await engine.up();
}

async function measureAfter(redis: Redis, bypass: Bypass): Promise<{ found: Comparison; redirected: number }> {
  // An earlier run that was killed may have left the bypass drained.
  await bypass.resume();
  const before = await bypass.redirected();
  await checkData(redis.port);
  // Each SET and each GET is a request and an answer; the kernel counts them in steps of 32.
  const expected = 4 * keys - 64;
  const through = (await bypass.redirected()) - before;
  if (through < expected) {
    throw new DemoError(
      `expected at least ${expected} messages of the data check to be redirected, found ${through}; look at: ${bypass.statusCommand}`,
    );
  }
  say(`${keys} random keys written and read back through the bypass: all the same`);
  const found = await compare(redis, bypass);
  return { found, redirected: (await bypass.redirected()) - before };
}

function report(found: Comparison, redirected: number, bypass: Bypass, port: number, asJson: boolean): void {
  const text = `
Redis on this machine, GET of ${valueBytes} bytes, ${clients} clients, server and clients on one CPU; medians.
"plain TCP" is the same installation drained; redis-benchmark counts latency in steps of 8 us.

${toTable(found)}

  messages redirected: ${redirected.toLocaleString("en-US")}

The bypass stays on, for port ${port}.
  look:  ${bypass.statusCommand}
  undo:  npm run down
`;
  (asJson ? process.stderr : process.stdout).write(text);
  if (asJson) process.stdout.write(`${JSON.stringify({ ...found, redirected })}\n`);
}
