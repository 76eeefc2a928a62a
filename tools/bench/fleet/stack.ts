// SPDX-License-Identifier: Apache-2.0
// A stack of many hosts, from up to destroy, in a process that does nothing else; main.ts starts
// it.
import * as fs from "node:fs";
import { join } from "node:path";
import { SocketBypass } from "../../../src/index";
import { createStack } from "../../pulumi/stack";
import { watchMemory } from "./memory";
import { type Asked, type Measured, parallel } from "./result";

async function measure({ folder, addresses, hostKey, privateKey, hasCheckpoints }: Asked): Promise<Measured> {
  const connection = { user: "root", privateKey, hostKey };
  const hosts = Object.fromEntries(
    addresses.map((host, number) => [`web${number}`, { connection: { ...connection, host } }]),
  );
  const program = async () => {
    new SocketBypass("edge", { hosts, traffic: { ports: ["6379"] } });
  };
  fs.mkdirSync(join(folder, "backend"));
  const stack = await createStack({ projectName: "fleet", stackName: "bench", program }, folder, {
    SOCKET_BYPASS_STAND_IN_ALLOW_REMOTE: "yes",
    ...(hasCheckpoints ? {} : { PULUMI_EXPERIMENTAL: "true", PULUMI_SKIP_CHECKPOINTS: "true" }),
  });
  const memory = watchMemory(process.pid);
  const up = await seconds(() => stack.up({ parallel }));
  const { peaks } = memory.stop();
  process.send?.("up");
  const peakMiB = Object.values(peaks).reduce((sum, size) => sum + size, 0);
  const states = join(folder, "backend/.pulumi/stacks/fleet");
  // The engine appends to this name when it is told to compress the state.
  const state = fs
    .readdirSync(states)
    .find((name) => /^bench\.json(\.\w+)?$/.test(name) && !/\.(bak|attrs)$/.test(name));
  const stateBytes = fs.statSync(join(states, state ?? "bench.json")).size;
  const preview = await seconds(() => stack.preview({ parallel, expectNoChanges: true }));
  const destroy = await seconds(() => stack.destroy({ parallel }));
  return { up, preview, destroy, peakMiB, peaks, stateBytes };
}

async function seconds(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return (performance.now() - started) / 1000;
}

process.once("message", (asked: Asked) => {
  measure(asked)
    .then((measured) => new Promise((done) => process.send?.(measured, done)))
    .catch((error: Error) => {
      process.stderr.write(`${error.message}\n`);
      process.exitCode = 1;
    })
    .finally(() => process.disconnect());
});
