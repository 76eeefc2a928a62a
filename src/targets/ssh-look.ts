// SPDX-License-Identifier: Apache-2.0
import type { Client, ConnectConfig } from "ssh2";
import { printable } from "../host/printable";
import type { Connection } from "./ssh";

// Internal: tests with machines on an emulated processor give more.
const patience = Number(process.env.SOCKET_BYPASS_LOOK_PATIENCE ?? 1);
/** Until a machine has let us in; through a bastion twice that. */
const loginSeconds = 10 * patience;
/** What the remote line may take, and what it may print: `status` takes a second and prints some thousand bytes. */
export const lookSeconds = 20 * patience;
/** Until the answer is there, once a machine has let us in. */
const answerSeconds = lookSeconds + loginSeconds;
const largest = 1024 * 1024;

type Login = Omit<Connection, "proxy">;

/**
 * What a line prints on a machine, or an error in words that show nothing of the connection. The provider has no function that runs a remote command, and the
 * `ssh` of a user takes neither a password nor the text of a key.
 */
export async function lookBySsh(connection: Connection, line: string): Promise<string> {
  const clients: Client[] = [];
  // A server may keep each part within its bound, or answer keepalives and nothing else: this bounds all of it.
  const seconds = answerSeconds + (connection.proxy === undefined ? 1 : 2) * loginSeconds;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, fail) => {
    timer = setTimeout(() => fail(new Error(`gives no answer within ${seconds} s`)), seconds * 1000);
  });
  try {
    return await Promise.race([late, look(connection, line, clients)]);
  } finally {
    clearTimeout(timer);
    for (const client of clients.reverse()) client.destroy();
  }
}

async function look({ proxy, ...login }: Connection, line: string, clients: Client[]): Promise<string> {
  const ssh2 = await import("ssh2");
  const logIn = (login: Login, more: ConnectConfig = {}) => {
    const client = new ssh2.Client();
    clients.push(client);
    return ready(client, login, more);
  };
  if (proxy === undefined) return await run(await logIn(login), line);
  const bastion = await logIn(proxy).catch((error: Error) => {
    throw new Error(`its bastion ${error.message}`);
  });
  const sock = await forward(bastion, login);
  return await run(await logIn(login, { sock }), line);
}

function ready(client: Client, login: Login, more: ConnectConfig): Promise<Client> {
  const { host, port = 22, user = "root", password, privateKey, privateKeyPassword, hostKey } = login;
  const agent = login.agentSocketPath ?? process.env.SSH_AUTH_SOCK;
  const [type, body = ""] = (hostKey ?? "").trim().split(/\s+/);
  const expected = Buffer.from(body, "base64");
  return new Promise((done, fail) => {
    let isOther = false;
    client.on("ready", () => done(client));
    client.on("error", (error) => fail(new Error(isOther ? otherKey : wordsOf(error))));
    client.on("close", () => fail(new Error("ends the connection")));
    client.on("keyboard-interactive", (_name, _text, _language, prompts, finish) =>
      finish(prompts.map(() => password ?? "")),
    );
    try {
      client.connect({
        ...more,
        ...{ host, port, username: user, readyTimeout: loginSeconds * 1000, keepaliveInterval: 5000 },
        ...(password === undefined ? {} : { password, tryKeyboard: true }),
        ...(privateKey === undefined ? {} : { privateKey }),
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
      // What it says of a key that it cannot read holds nothing of the key.
      fail(new Error(`cannot be asked: ${error instanceof Error ? error.message : "of an unknown reason"}`));
    }
  });
}

function forward(bastion: Client, { host, port = 22 }: Login): Promise<NonNullable<ConnectConfig["sock"]>> {
  return new Promise((done, fail) => {
    const words = `does not answer its bastion within ${loginSeconds} s`;
    const late = setTimeout(() => fail(new Error(words)), loginSeconds * 1000);
    const lost = () => fail(new Error("cannot be reached: its bastion ends the connection"));
    bastion.on("close", () => {
      clearTimeout(late);
      lost();
    });
    bastion.forwardOut("127.0.0.1", 0, host, port, (error, stream) => {
      clearTimeout(late);
      if (error) fail(new Error("cannot be reached from its bastion"));
      else done(stream);
    });
  });
}

function run(client: Client, line: string): Promise<string> {
  return new Promise((done, fail) => {
    // The remote bound stops the line; this one holds when the machine itself stands still.
    const late = setTimeout(() => fail(new Error(`gives no answer within ${answerSeconds} s`)), answerSeconds * 1000);
    const end = (error?: Error, printed = "") => {
      clearTimeout(late);
      if (error) fail(error);
      else done(printed);
    };
    client.on("close", () => end(new Error("ends the connection")));
    client.on("error", (error) => end(new Error(wordsOf(error))));
    client.exec(line, (refused, stream) => {
      if (refused) return end(new Error("lets us in but runs no command"));
      const [printed, said]: [string[], string[]] = [[], []];
      let size = 0;
      const keep = (list: string[]) => (chunk: Buffer) => {
        size += chunk.length;
        if (size > largest) end(new Error(`prints more than ${largest} bytes`));
        else list.push(chunk.toString());
      };
      stream.on("data", keep(printed));
      stream.stderr.on("data", keep(said));
      stream.on("close", (code: number | null | undefined) => {
        if (code === 0) return end(undefined, printed.join(""));
        const last = said.join("").trim().split("\n").at(-1);
        end(new Error(`ends the command with ${code ?? "no exit status"}${last ? `: ${printable(last)}` : ""}`));
      });
    });
  });
}

const otherKey =
  "shows another host key than is declared: it was made anew, or somebody is in between; correct hostKey only when you know which";

/** The library's own texts name addresses. */
function wordsOf(error: Error & { level?: string; code?: string }): string {
  if (error.level === "client-authentication") return "lets nobody in with this user and key, password or agent";
  if (error.level === "client-timeout" || error.code === "ETIMEDOUT") return `does not answer within ${loginSeconds} s`;
  if (error.level === "handshake") return "has no host key of the type that is declared, or no cipher that we take";
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
