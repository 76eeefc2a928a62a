// SPDX-License-Identifier: Apache-2.0
import { createServer } from "node:net";
import { describe, expect, test } from "vitest";
import { build, childrenOf, run, start, waitUntil } from "./probe.js";

const probe = build();

async function bench(...args: string[]) {
  const ended = await run(probe, "bench", "--seconds", "1", ...args);
  expect(ended).toMatchObject({ code: 0, stderr: "" });
  return JSON.parse(ended.stdout);
}

// Not proven here: that the numbers are accurate to a percent; they only agree with each other.
describe.each(["tcp", "tcp6", "unix"])("bench over %s", (transport) => {
  test("rr reports a rate and latencies", async () => {
    const answer = await bench("--transport", transport, "--size", "100");
    expect(answer).toEqual({
      ...{ mode: "rr", transport, size: 100, connections: 1, ms: expect.any(Number), messages: expect.any(Number) },
      ...{ rps: expect.any(Number), mbps: expect.any(Number), p50us: expect.any(Number), p99us: expect.any(Number) },
      spurious_eagain: 0,
    });
    expect(answer.rps / (answer.messages / (answer.ms / 1000))).toBeCloseTo(1, 1);
    expect(answer.mbps / ((answer.rps * 100 * 8) / 1e6)).toBeCloseTo(1, 1);
    expect(answer.p50us).toBeGreaterThan(0);
    expect(answer.p99us).toBeGreaterThanOrEqual(answer.p50us);
  });

  test("stream reports a rate and no latency", async () => {
    const answer = await bench("--transport", transport, "--mode", "stream", "--size", "16384");
    expect(answer).toMatchObject({ mode: "stream", transport, size: 16384, p50us: null, p99us: null });
    expect(answer.mbps / ((answer.rps * 16384 * 8) / 1e6)).toBeCloseTo(1, 1);
  });

  test("duplex counts both directions", async () => {
    const answer = await bench("--transport", transport, "--mode", "duplex", "--size", "16384");
    expect(answer).toMatchObject({ mode: "duplex", transport, size: 16384, ms: 900, p50us: null, p99us: null });
    expect(answer.mbps / ((answer.rps * 16384 * 8) / 1e6)).toBeCloseTo(1, 1);
  });

  test.each(["rr", "stream", "duplex"])("%s uses many connections in turn", async (mode) => {
    const answer = await bench("--transport", transport, "--mode", mode, "--connections", "450");
    expect(answer).toMatchObject({ mode, connections: 450 });
    expect(answer.messages).toBeGreaterThan(450);
  });
});

describe("bench", () => {
  test("moves messages that are larger than the socket buffers", async () => {
    expect((await bench("--size", "1048576", "--transport", "unix")).messages).toBeGreaterThan(10);
  });

  test.each(["tcp", "tcp6"])("connect opens a connection for each request over %s", async (transport) => {
    const answer = await bench("--transport", transport, "--mode", "connect", "--size", "100");
    expect(answer).toMatchObject({ mode: "connect", transport, size: 100 });
    expect(answer.messages).toBeGreaterThan(10);
    expect(answer.p99us).toBeGreaterThanOrEqual(answer.p50us);
  });

  test("uses the connected sockets that it is given", async () => {
    const line = `import os, socket, sys
a, b = socket.socketpair()
for end in (a, b): os.set_inheritable(end.fileno(), True)
os.execv(sys.argv[1], [*sys.argv[1:], "--fds", f"{a.fileno()},{b.fileno()}"])`;
    const ended = await run("python3", "-c", line, probe, "bench", "--ms", "200");
    expect(ended).toMatchObject({ code: 0, stderr: "" });
    expect(JSON.parse(ended.stdout).messages).toBeGreaterThan(10);
  });

  test("takes milliseconds instead of seconds", async () => {
    expect((await bench("--mode", "stream", "--ms", "200")).ms).toBe(180);
  });

  test("listens on the port that it is given, and says when that is taken", async () => {
    const server = createServer();
    const port = await new Promise<number>((resolve) => {
      server.listen(0, "127.0.0.1", () => resolve((server.address() as { port: number }).port));
    });
    const ended = await run(probe, "bench", "--port", String(port), "--seconds", "1");
    expect(ended).toEqual({ code: 1, stdout: "", stderr: "probe: bench: listen: EADDRINUSE\n" });
    await new Promise((resolve) => server.close(resolve));
    expect((await bench("--port", String(port))).messages).toBeGreaterThan(10);
  });

  test("pins both processes, and refuses a CPU that does not exist", async () => {
    expect((await bench("--pin", "0,0")).messages).toBeGreaterThan(10);
    expect(await run(probe, "bench", "--pin", "1023,0", "--seconds", "1")).toEqual({
      ...{ code: 1, stdout: "" },
      stderr: "probe: bench: --pin: EINVAL\n",
    });
  });

  test("ends with an error when the server process dies", async () => {
    const { child, ended } = start(probe, "bench", "--seconds", "5");
    let server = 0;
    await waitUntil("a server process", () => {
      server = childrenOf(child.pid)[0] ?? 0;
      return server > 0;
    });
    process.kill(server, "SIGKILL");
    expect(await ended).toMatchObject({ code: 1, stdout: "" });
  });
});
