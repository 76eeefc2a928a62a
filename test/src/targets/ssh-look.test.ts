// SPDX-License-Identifier: Apache-2.0
import { createServer } from "node:net";
import { utils } from "ssh2";
import { describe, expect, test, vi } from "vitest";
import { lookBySsh } from "../../../src/targets/ssh-look";
import { makeKeyPair } from "./keys.js";
import { answer, encrypted, ends, listen, serve } from "./server";

const failure = (connection: Parameters<typeof lookBySsh>[0]) =>
  lookBySsh(connection, "status").then(
    (printed) => expect.fail(`expected a failure, found ${printed}`),
    (error: Error) => error.message,
  );

describe("the output of a command is returned", () => {
  test("after a login with a key, an encrypted key, a password, or one that is asked for", async () => {
    const way = await serve((channel, command) => answer(command)(channel));
    const { privateKey: _, ...open } = way;
    expect(await lookBySsh(way, "a 'b'")).toBe("a 'b'");
    expect(await lookBySsh({ ...open, privateKey: encrypted, privateKeyPassword: "x" }, "c")).toBe("c");
    expect(await lookBySsh({ ...open, password: "pw" }, "d")).toBe("d");
    expect(await lookBySsh({ ...open, user: "asked", password: "pw" }, "e")).toBe("e");
  });

  test("through a bastion", async () => {
    const far = await serve(answer("far"));
    const bastion = await serve(answer("bastion"));
    expect(await lookBySsh({ ...far, proxy: bastion }, "x")).toBe("far");
  });
});

describe("the error about a host shows nothing of its connection", () => {
  test("that refuses the login", async () => {
    const way = await serve(answer("x"));
    expect(await failure({ ...way, user: "wrong" })).toBe("refuses this user with this key, password or agent");
    expect(await failure({ ...way, proxy: { ...way, user: "wrong" } })).toBe(
      "its bastion refuses this user with this key, password or agent",
    );
  });

  test("that shows another host key, or one of another type", async () => {
    const way = await serve(answer("x"));
    const other = makeKeyPair().public;
    expect(await failure({ ...way, hostKey: other, password: "hunter2" })).toContain(
      "has another host key than the declared one",
    );
    const ofOtherType = utils.generateKeyPairSync("ecdsa", { bits: 256 }).public;
    expect(await failure({ ...way, hostKey: ofOtherType })).toBe(
      "has no host key of the declared type, or no cipher that the SSH client supports",
    );
  });

  test("where nobody listens, or whose name does not resolve", async () => {
    const way = await serve(answer("x"));
    const closed = createServer();
    const port = await listen(closed);
    await new Promise((done) => closed.close(done));
    expect(await failure({ ...way, port })).toBe("refuses the connection");
    expect(await failure({ ...way, host: "no-such-host.invalid" })).toBe("has a name that cannot be resolved");
    expect(await failure({ ...way, port, proxy: way })).toBe("ends the connection");
  });

  test("that accepts the connection and stays silent", { timeout: 20_000 }, async () => {
    const way = await serve(answer("x"));
    const silent = createServer((socket) => {
      socket.on("error", () => undefined);
      ends.unshift(() => socket.destroy());
    });
    const port = await listen(silent);
    ends.push(() => new Promise((done) => silent.close(done)));
    expect(await failure({ ...way, port })).toBe("does not answer within 10 s");
  });

  test("whose bastion never forwards, or that stalls behind its bastion", {
    timeout: 60_000,
  }, async () => {
    // A tenth of the usual limits.
    vi.stubEnv("SOCKET_BYPASS_LOOK_PATIENCE", "0.1");
    vi.resetModules();
    const { lookBySsh: hasty } = await import("../../../src/targets/ssh-look.js");
    vi.unstubAllEnvs();
    const said = (connection: Parameters<typeof lookBySsh>[0]) =>
      hasty(connection, "status").then(
        (printed) => expect.fail(`expected a failure, found ${printed}`),
        (error: Error) => error.message,
      );
    const way = await serve(answer("x"));
    const mute = await serve(answer("x"), true, () => undefined);
    expect(await said({ ...way, proxy: mute })).toBe("does not answer its bastion within 1 s");
    const dropping = await serve(answer("x"), true, (peer) => peer.end());
    expect(await said({ ...way, proxy: dropping })).toBe("cannot be reached: its bastion ends the connection");
    const stalling = await serve(() => undefined);
    expect(await said({ ...stalling, proxy: await serve(answer("x")) })).toBe("gives no answer within 3 s");
    expect(await said(stalling)).toBe("gives no answer within 3 s");
  });

  test("that runs nothing, drops the connection, floods it, or fails", async () => {
    expect(await failure(await serve(answer("x"), false))).toBe("accepts the login but runs no command");
    expect(await failure(await serve((_channel, _command, peer) => peer.end()))).toBe("ends the connection");
    const flood = await serve((channel) => {
      const more = () => {
        while (channel.writable && channel.write(Buffer.alloc(32768, "x")));
        channel.once("drain", more);
      };
      channel.on("error", () => undefined);
      more();
    });
    expect(await failure(flood)).toBe("prints more than 1048576 bytes");
    const refusing = await serve((channel) => {
      channel.stderr.write("sudo: a password is required\n");
      channel.exit(1);
      channel.end();
    });
    expect(await failure(refusing)).toBe("ends the command with 1: sudo: a password is required");
  });

  test("whose private key cannot be read", async () => {
    const way = await serve(answer("x"));
    const said = await failure({ ...way, privateKey: encrypted });
    expect(said).toMatch(/^cannot be asked: /);
    expect(said).not.toContain(encrypted.slice(60, 100));
  });
});
