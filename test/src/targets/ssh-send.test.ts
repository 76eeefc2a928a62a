// SPDX-License-Identifier: Apache-2.0
import { connect, createServer, Socket } from "node:net";
import type { ServerChannel } from "ssh2";
import { afterEach, describe, expect, test, vi } from "vitest";
import { loginDefaults } from "../../../src/args/connection";
import { receiving } from "../../../src/commands/staged";
import type { Connection } from "../../../src/targets/ssh-client";
import { sendBySsh } from "../../../src/targets/ssh-send";
import { ends, listen, serve } from "./server";

const files = { stateDir: "/var/lib/x", instance: "web", digest: "d".repeat(64), packed: Buffer.from("packed\0\xff") };
const { script } = receiving(files);
const send = (connection: Connection) =>
  sendBySsh({ dialErrorLimit: 2, perDialTimeout: 1, ...connection }, "line", files);
const failure = (connection: Connection) =>
  send(connection).then(
    (sent) => expect.fail(`expected a failure, found ${sent} bytes sent`),
    (error: Error) => error.message,
  );

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** Receives files as host/script/receive.sh does, and keeps what came after the script. */
function takes(got: Buffer[], first = `Welcome!\nwants ${files.digest}\n`, last = `has ${files.digest}\n`, code = 0) {
  return (channel: ServerChannel) => {
    let came = Buffer.alloc(0);
    channel.on("data", (chunk: Buffer) => {
      const isScript = came.length < script.length;
      came = Buffer.concat([came, chunk]);
      if (isScript && came.length >= script.length) channel.write(first);
    });
    channel.on("end", () => {
      got.push(came.subarray(script.length));
      channel.write(last);
      channel.exit(code);
      channel.end();
    });
  };
}

describe("files over SSH", () => {
  test("are sent unencoded, after the script that receives them, to a host that wants them", async () => {
    const got: Buffer[] = [];
    expect(await send(await serve(takes(got)))).toBe(files.packed.length);
    expect(got).toEqual([files.packed]);
  });

  test("are not sent to a host that has them", async () => {
    const got: Buffer[] = [];
    expect(await send(await serve(takes(got, `has ${files.digest}\n`)))).toBe(0);
    expect(got).toEqual([Buffer.alloc(0)]);
  });

  test("are sent through a bastion", async () => {
    const got: Buffer[] = [];
    const far = await serve(takes(got));
    expect(await send({ ...far, proxy: await serve(takes([])) })).toBe(files.packed.length);
    expect(got).toEqual([files.packed]);
  });

  test("are not reported as sent if the server ran another command, and the script's own error is passed on", async () => {
    expect(await failure(await serve(takes([], undefined, "all well\n")))).toContain(
      "ran another command than the one it was sent, and reported success",
    );
    const refusing = await serve((channel) => {
      channel.stderr.write("Welcome!\nsocket-bypass: /var/lib/x: expected room, found none\n");
      channel.exit(1);
      channel.end();
    });
    expect(await failure(refusing)).toBe("takes no files: /var/lib/x: expected room, found none");
    expect(await failure(await serve(takes([], undefined, undefined, 3)))).toBe("ends the command with 3");
    expect(await failure(await serve((_channel, _command, peer) => peer.end()))).toBe("ends the connection");
  });
});

test("a host that stalls is given up within the bound of the part in which it stalls", async () => {
  // A fifth of the usual limits.
  vi.stubEnv("SOCKET_BYPASS_LOOK_PATIENCE", "0.2");
  vi.resetModules();
  const { sendBySsh: hasty } = await import("../../../src/targets/ssh-send.js");
  vi.unstubAllEnvs();
  const way = await serve(takes([]));
  const writes = (...lines: string[]) => serve((channel) => void channel.write(lines.join("\n").concat("\n")));
  const [wants, has] = [`wants ${files.digest}`, `has ${files.digest}`];
  const stalls: [Connection, string][] = [
    [{ ...way, user: "ignored" }, "does not answer within 2 s"],
    [{ ...way, proxy: await serve(takes([]), true, () => undefined) }, "does not answer its bastion within 1 s"],
    [{ ...way, user: "ignored", proxy: way }, "does not answer within 2 s"],
    [await serve(takes([]), "ignores"), "gives no answer within 6 s"],
    [await writes("Welcome!"), "gives no answer within 6 s"],
    [await writes(wants), "gives no answer within 24 s"],
    [await writes(has), "gives no answer within 6 s"],
    [await writes(wants, has), "gives no answer within 24 s"],
  ];
  const said = await Promise.all(
    stalls.map(([connection]) =>
      hasty({ dialErrorLimit: 0, perDialTimeout: 1, ...connection }, "line", files).then(
        (sent) => expect.fail(`expected a failure, found ${sent} bytes sent`),
        (error: Error) => error.message,
      ),
    ),
  );
  expect(said).toEqual(stalls.map(([, words]) => words));
}, 120_000);

describe("a host that is just starting is dialled as often as dialErrorLimit says", () => {
  test("while nobody listens, and while sshd refuses the login", async () => {
    const got: Buffer[] = [];
    const way = await serve(takes(got));
    const late = createServer((socket) => socket.on("error", () => undefined));
    const port = await listen(late);
    await new Promise((done) => late.close(done));
    const started = performance.now();
    expect(await failure({ ...way, port })).toBe("refuses the connection");
    // Two pauses, because the third dial is the last.
    expect(performance.now() - started).toBeGreaterThan(240);
    const starting = send({ ...way, port, dialErrorLimit: 30 });
    setTimeout(async () => {
      const relay = createServer((socket) => {
        const there = connect(way.port, "127.0.0.1");
        socket.pipe(there).pipe(socket);
        for (const end of [socket, there]) end.on("error", () => undefined);
      });
      ends.push(() => new Promise((done) => relay.close(done)));
      relay.listen(port, "127.0.0.1");
    }, 300);
    expect(await starting).toBe(files.packed.length);
    expect(await failure({ ...way, user: "wrong" })).toBe("refuses this user with this key, password or agent");
  });

  test("by default for 66 seconds if nothing answers, and for 11 if nobody listens, as the arguments say", async () => {
    const way = await serve(takes([]));
    vi.useFakeTimers();
    const connecting = vi.spyOn(Socket.prototype, "connect").mockImplementation(function (this: Socket) {
      return this;
    });
    const dialled = async () => {
      const started = Date.now();
      connecting.mockClear();
      const failed = failure({ ...way, ...loginDefaults, port: way.port }).then(
        (words) => [words, Date.now()] as const,
      );
      await vi.advanceTimersByTimeAsync(120_000);
      const [words, ended] = await failed;
      return [words, connecting.mock.calls.length, Math.trunc((ended - started) / 1000)];
    };
    expect(await dialled()).toEqual(["does not answer within 5 s", 11, 66]);
    connecting.mockImplementation(function (this: Socket) {
      this.destroy(Object.assign(new Error("refused"), { code: "ECONNREFUSED" }));
      return this;
    });
    expect(await dialled()).toEqual(["refuses the connection", 11, 11]);
  });

  test("also if nothing answers and a dial may take longer than a login", async () => {
    const way = await serve(takes([]));
    vi.useFakeTimers();
    let dials = 0;
    vi.spyOn(Socket.prototype, "connect").mockImplementation(function (this: Socket) {
      dials++;
      return this;
    });
    const failed = failure({ ...way, perDialTimeout: 60 });
    await vi.advanceTimersByTimeAsync(3 * 60_000 + 1000);
    expect(await failed).toBe("does not answer within 60 s");
    expect(dials).toBe(3);
  });

  test("but only once if it accepts the connection and stays silent", { timeout: 30_000 }, async () => {
    let dials = 0;
    const silent = createServer((socket) => {
      dials++;
      socket.on("error", () => undefined);
      ends.unshift(() => socket.destroy());
    });
    const way = await serve(takes([]));
    const port = await listen(silent);
    ends.push(() => new Promise((done) => silent.close(done)));
    expect(await failure({ ...way, port })).toBe("does not answer within 10 s");
    expect(dials).toBe(1);
  });
});
