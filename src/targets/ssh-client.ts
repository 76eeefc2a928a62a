// SPDX-License-Identifier: Apache-2.0
import type { types } from "@pulumi/command";
import type { UnwrappedObject } from "@pulumi/pulumi";
import type { Client, ConnectConfig } from "ssh2";
import { patience } from "./patience";
import { asClientReads } from "./private-key";

/** A connection as the provider takes it, with its defaults filled in. */
export type Connection = UnwrappedObject<types.input.remote.ConnectionArgs>;

/** How long a machine may take to let us log in; through a bastion it may take twice that. */
export const loginSeconds = 10 * patience;

type Login = Omit<Connection, "proxy">;

/**
 * The error for a machine that was never reached, or that refuses the login, which may be because
 * it is just starting.
 */
export class Unreached extends Error {}

/**
 * Logs in, through the bastion if there is one. Error messages show nothing of the connection. The
 * caller destroys the clients in the list, also after a failure. A dial may take `dialSeconds`.
 */
export async function logIn(
  { proxy, ...login }: Connection,
  clients: Client[],
  dialSeconds: (login: Login) => number = () => loginSeconds,
): Promise<Client> {
  const ssh2 = await import("ssh2");
  const enter = (login: Login, more: ConnectConfig = {}) => {
    const client = new ssh2.Client();
    clients.push(client);
    return ready(client, login, more, dialSeconds(login));
  };
  if (proxy === undefined) return await enter(login);
  const bastion = await enter(proxy).catch((error: Error) => {
    error.message = `its bastion ${error.message}`;
    throw error;
  });
  const sock = await forward(bastion, login, dialSeconds(login));
  return await enter(login, { sock });
}

function ready(client: Client, login: Login, more: ConnectConfig, dialSeconds: number): Promise<Client> {
  const { host, port = 22, user = "root", password, privateKey, privateKeyPassword, hostKey } = login;
  const agent = login.agentSocketPath ?? process.env.SSH_AUTH_SOCK;
  const [type, body = ""] = (hostKey ?? "").trim().split(/\s+/);
  const expected = Buffer.from(body, "base64");
  return new Promise((done, fail) => {
    let isOther = false;
    let late: NodeJS.Timeout | undefined;
    const within = (seconds: number, Kind: new (message: string) => Error) => {
      clearTimeout(late);
      late = setTimeout(() => fail(new Kind(silent(seconds))), seconds * 1000);
    };
    const end = (error?: Error) => {
      clearTimeout(late);
      if (error) fail(error);
      else done(client);
    };
    within(dialSeconds, Unreached);
    // Behind a bastion, which has dialled already, this event comes at once.
    client.on("connect", () => within(loginSeconds, Error));
    client.on("ready", () => end());
    client.on("error", (error) => end(isOther ? new Error(otherKey) : errorOf(error)));
    client.on("close", () => end(new Unreached("ends the connection")));
    client.on("keyboard-interactive", (_name, _text, _language, prompts, finish) =>
      finish(prompts.map(() => password ?? "")),
    );
    try {
      client.connect({
        ...more,
        // ssh2's own bound would start with the dial, which may take longer than the login.
        ...{ host, port, username: user, readyTimeout: 0, keepaliveInterval: 5000 },
        ...(password === undefined ? {} : { password, tryKeyboard: true }),
        ...(privateKey === undefined ? {} : { privateKey: asClientReads(privateKey) }),
        ...(privateKeyPassword === undefined ? {} : { passphrase: privateKeyPassword }),
        ...(agent === undefined ? {} : { agent }),
        ...(hostKey === undefined || type === undefined
          ? {}
          : { algorithms: { serverHostKey: [type as "ssh-ed25519"] } }),
        hostVerifier: (key: Buffer) => {
          isOther = hostKey !== undefined && !key.equals(expected);
          return !isOther;
        },
      });
    } catch (error) {
      // The message of ssh2 about a key that it cannot read holds nothing of the key.
      end(new Error(`cannot be asked: ${error instanceof Error ? error.message : "of an unknown reason"}`));
    }
  });
}

function forward(
  bastion: Client,
  { host, port = 22 }: Login,
  dialSeconds: number,
): Promise<NonNullable<ConnectConfig["sock"]>> {
  return new Promise((done, fail) => {
    const words = `does not answer its bastion within ${dialSeconds} s`;
    const late = setTimeout(() => fail(new Unreached(words)), dialSeconds * 1000);
    const lost = () => fail(new Unreached("cannot be reached: its bastion ends the connection"));
    bastion.on("close", () => {
      clearTimeout(late);
      lost();
    });
    bastion.forwardOut("127.0.0.1", 0, host, port, (error, stream) => {
      clearTimeout(late);
      if (error) fail(new Unreached("cannot be reached from its bastion"));
      else done(stream);
    });
  });
}

const otherKey =
  "has another host key than the declared one: it was installed anew, or somebody intercepts the connection; correct hostKey only when you know which";

const silent = (seconds: number) => `does not answer within ${seconds} s`;

function errorOf(error: Error & { level?: string; code?: string }): Error {
  const isOfItself = ["client-timeout", "handshake", "protocol"].includes(error.level ?? "");
  return isOfItself ? new Error(wordsOf(error)) : new Unreached(wordsOf(error));
}

/** Says in our own words what failed, because the messages of ssh2 name addresses. */
export function wordsOf(error: Error & { level?: string; code?: string }): string {
  if (error.level === "client-authentication") return "refuses this user with this key, password or agent";
  if (error.level === "client-timeout" || error.code === "ETIMEDOUT") return silent(loginSeconds);
  if (error.level === "handshake")
    return "has no host key of the declared type, or no cipher that the SSH client supports";
  if (error.level === "protocol") return "ends the connection";
  const known: Record<string, string> = {
    ECONNREFUSED: "refuses the connection",
    ECONNRESET: "ends the connection",
    EHOSTUNREACH: "cannot be reached",
    ENETUNREACH: "cannot be reached",
    ENOTFOUND: "has a name that cannot be resolved",
    EAI_AGAIN: "has a name that cannot be resolved",
  };
  const word = known[error.code ?? ""];
  if (word !== undefined) return word;
  return `cannot be asked: ${error.level ?? error.code ?? "the connection broke"}`;
}
