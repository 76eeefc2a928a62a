// SPDX-License-Identifier: Apache-2.0
import { PassThrough } from "node:stream";
import * as pulumi from "@pulumi/pulumi";
import { afterEach, describe, expect, test, vi } from "vitest";
import { BypassHost } from "../../../src/index";
import { deliver } from "../../../src/targets/deliver";
import { commandsOf, record } from "../record";

const files = { stateDir: "/var/lib/x", instance: "web", digest: "d".repeat(64), packed: Buffer.from("packed") };
const start = () => {
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
  return { stdin, stdout, stderr, ended: new Promise<number>(() => undefined) };
};
const failure = (sending: Promise<number>) =>
  sending.then(
    (sent) => expect.fail(`expected a failure, found ${sent} bytes sent`),
    (error: Error) => error.message,
  );

afterEach(() => {
  vi.useRealTimers();
});

describe("a target that stalls", () => {
  test("before it answers the script is given up after 30 s, whatever else it prints", async () => {
    vi.useFakeTimers();
    const running = start();
    const failed = failure(deliver(running, files));
    for (let seconds = 0; seconds < 30; seconds++) {
      running.stdout.write("Welcome!\n");
      await vi.advanceTimersByTimeAsync(1000);
    }
    expect(await failed).toBe("gives no answer within 30 s");
  });

  test("while the files are sent is given up 120 s after its answer", async () => {
    vi.useFakeTimers();
    const running = start();
    const failed = failure(deliver(running, files));
    let isOver = false;
    failed.finally(() => {
      isOver = true;
    });
    running.stdout.write(`wants ${files.digest}\n`);
    await vi.advanceTimersByTimeAsync(119_000);
    expect(isOver).toBe(false);
    await vi.advanceTimersByTimeAsync(2000);
    expect(await failed).toBe("gives no answer within 120 s");
  });
});

test("only the first step has a hook; it runs before create and update, in no preview and for no destroy", async () => {
  const registered: [string, boolean][] = [];
  const all = commandsOf(
    await record(() => {
      const monitor = pulumi.runtime.getMonitor() as unknown as Record<string, unknown>;
      monitor.registerResourceHook = (
        request: { getName(): string; getOnDryRun(): boolean },
        done: (error: null, answer: object) => void,
      ) => {
        registered.push([request.getName(), request.getOnDryRun()]);
        done(null, {});
      };
      new BypassHost("edge", { local: true, traffic: { ports: ["80"] } });
      new BypassHost("edge", { local: true, traffic: { ports: ["80"] } });
    }),
  );
  const hooksOf = (hooks: unknown) => (hooks as { toObject(): object } | undefined)?.toObject();
  const name = "files for edge";
  // The engine accepts each name only once.
  expect(registered).toEqual([
    [name, false],
    [`${name} (2)`, false],
  ]);
  const found = all.map(({ name, hooks }) => [name, hooksOf(hooks)]);
  const none = { beforeDeleteList: [], afterCreateList: [], afterUpdateList: [], afterDeleteList: [], onErrorList: [] };
  const first = { beforeCreateList: [name], beforeUpdateList: [name], ...none };
  expect(found.filter(([, hooks]) => hooks !== undefined)[0]).toEqual(["edge-object", first]);
  expect(found.filter(([, hooks]) => hooks !== undefined)).toHaveLength(2);
  expect(found).toHaveLength(16);
});
