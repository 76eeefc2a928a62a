// SPDX-License-Identifier: Apache-2.0
import * as path from "node:path";
import type * as pulumi from "@pulumi/pulumi";
import { z } from "zod";
import { hiddenLeaf, isPending, shape, wrongHidden } from "./validation/schema";
import { type Complaint, hostKeyProblem, isEncrypted, privateKeyProblem } from "./validation/ssh-keys";

/** How to log in to one machine by SSH. */
export interface Login {
  /**
   * Name or address of the machine.
   */
  host: pulumi.Input<string>;
  /**
   * Port of its SSH server. Default 22.
   */
  port?: pulumi.Input<number>;
  /**
   * User to log in as. Default "root".
   */
  user?: pulumi.Input<string>;
  /**
   * Password of the user, for the methods password and keyboard-interactive. Default none.
   */
  password?: pulumi.Input<string>;
  /**
   * Text of a private key, not its path. Default none; an agent or the password is tried then.
   */
  privateKey?: pulumi.Input<string>;
  /**
   * Password of the private key, when it is encrypted. Default none.
   */
  privateKeyPassword?: pulumi.Input<string>;
  /**
   * Socket of an SSH agent. Default: SSH_AUTH_SOCK in the environment of Pulumi.
   */
  agentSocketPath?: pulumi.Input<string>;
  /**
   * Public key that the machine must prove to have, of type ed25519 or ecdsa: "ssh-ed25519 AAAA…",
   * as in /etc/ssh/ssh_host_ed25519_key.pub. Required unless allowUnknownHostKey is true.
   * Default none.
   */
  hostKey?: pulumi.Input<string>;
  /**
   * How often a failed dial is tried again, -1 for ever; the pauses grow from 0.1 to 5 seconds.
   * Default 10: 11 dials of perDialTimeout and 11 seconds of pauses, so by default a machine that
   * does not answer is given up after 66 seconds, and one that refuses to connect after 11.
   */
  dialErrorLimit?: pulumi.Input<number>;
  /**
   * Seconds that one dial may take, from 1 to 600. Default 5.
   */
  perDialTimeout?: pulumi.Input<number>;
}

/** How a host is reached by SSH. */
export interface Connection extends Login {
  /**
   * Bastion: a machine to log in to first, from which the host is reached. Default none: the
   * machine that runs Pulumi connects to the host itself.
   */
  proxy?: pulumi.Input<Login>;
}

/**
 * With its own defaults the provider tries for three minutes; a VM that is just starting needs a
 * larger dialErrorLimit. @internal
 */
export const loginDefaults = { port: 22, user: "root", dialErrorLimit: 10, perDialTimeout: 5 };

const text = (what: string, fix: string, holds: (value: string) => boolean = () => true) =>
  hiddenLeaf((value) => (typeof value === "string" && value !== "" && holds(value) ? undefined : [what, fix]));
const number = (what: string, low: number, high: number) =>
  hiddenLeaf((value) =>
    typeof value === "number" && Number.isInteger(value) && value >= low && value <= high
      ? undefined
      : [`${what} from ${low} to ${high}`, "write it without quotes"],
  );
const isPrintable = (value: string) => /^[\x21-\x7e]{1,255}$/.test(value);

const login = {
  host: text("a name or an address", "leave out user and port, which have properties of their own", (value) =>
    /^[A-Za-z0-9_.:%-]{1,255}$/.test(value),
  ),
  port: number("a port", 1, 65535),
  user: text("the name of a user", "use printable characters and no blank", isPrintable),
  password: text("a password", "leave it out for none"),
  privateKey: hiddenLeaf((value) => privateKeyProblem(value)),
  privateKeyPassword: text("the password of the private key", "leave it out for none"),
  agentSocketPath: hiddenLeaf(agentProblem),
  hostKey: hiddenLeaf((value) => hostKeyProblem(value)),
  dialErrorLimit: number("a number of tries", -1, 1000),
  perDialTimeout: number("a number of seconds", 1, 600),
};

/**
 * Checks a connection that was given. Its host key may be missing only if `isUnknownAllowed`.
 * @internal
 */
export function connectionSchema(isUnknownAllowed: boolean) {
  const proxy = end(login, isUnknownAllowed, "leave it out for none").optional();
  return end({ ...login, proxy }, isUnknownAllowed, "give one, or local: true without a connection");
}

/**
 * Checks one machine to log in to: its properties, and that none of the required ones is missing. A
 * value that is not an object may hold a credential, so it is not shown either. `instead` says what
 * to do if there is none.
 */
function end(properties: z.core.$ZodLooseShape, isUnknownAllowed: boolean, instead: string) {
  const strict = shape(properties);
  return z.unknown().check((context) => {
    const { value } = context;
    if (isPending(value)) return;
    if (value === undefined || value === null) {
      context.issues.push(wrongHidden(value, [], "a connection", instead));
      return;
    }
    if (typeof value !== "object" || Array.isArray(value)) {
      context.issues.push(wrongHidden(value, [], "an object", `use ${Object.keys(properties).join(", ")}`));
      return;
    }
    const { allowUnknownHostKey: misplaced, ...given } = value as Record<string, unknown>;
    if (misplaced !== undefined) {
      const fix = "move it out of the connection: { connection: { … }, allowUnknownHostKey: true }";
      context.issues.push(wrongHidden(misplaced, ["allowUnknownHostKey"], "this beside the connection", fix));
    }
    const issues = strict.safeParse(given, { reportInput: true }).error?.issues ?? [];
    for (const issue of issues) context.issues.push({ ...issue, continue: true } as never);
    for (const [name, expected, fix] of gaps(given, isUnknownAllowed || misplaced !== undefined))
      context.issues.push(wrongHidden(undefined, [name], expected, fix));
  });
}

/**
 * The provider opens the socket of an agent by its path, on Windows too, and a pipe is no socket.
 */
function agentProblem(value: unknown): Complaint {
  const { isAbsolute } = process.platform === "win32" ? path.win32 : path.posix;
  if (isPipe(value))
    return [
      "the path of an agent's socket, not of a pipe",
      "the provider of Pulumi opens no pipe; give privateKey instead",
    ];
  const isPath = typeof value === "string" && isAbsolute(value);
  return isPath ? undefined : ["the path of an agent's socket", "leave it out for SSH_AUTH_SOCK"];
}

/** A pipe of Windows, such as that of its OpenSSH agent. */
function isPipe(value: unknown): boolean {
  return typeof value === "string" && /^[\\/]{2}\.[\\/]pipe[\\/]/.test(value);
}

function gaps(given: Record<string, unknown>, isUnknownAllowed: boolean): [string, string, string][] {
  const found: [string, string, string][] = [];
  const { host, hostKey, password, privateKey, privateKeyPassword, agentSocketPath } = given;
  if (host === undefined) found.push(["host", "a name or an address", "say which machine it is"]);
  if (hostKey === undefined && !isUnknownAllowed)
    found.push([
      "hostKey",
      "the public key of the machine",
      "copy /etc/ssh/ssh_host_ed25519_key.pub from it, or say allowUnknownHostKey: true and trust whoever answers",
    ]);
  if (privateKey === undefined && privateKeyPassword !== undefined)
    found.push(["privateKey", "a private key beside its password", "give both, or neither"]);
  if (typeof privateKey === "string" && privateKeyPassword === undefined && isEncrypted(privateKey))
    found.push(["privateKeyPassword", "the password of a private key that is encrypted", "give it, or another key"]);
  const { SSH_AUTH_SOCK: agent } = process.env;
  // The provider would try it before each login, also beside a key, and fail.
  if (agentSocketPath === undefined && isPipe(agent))
    found.push([
      "agentSocketPath",
      "an agent with a socket, not with the pipe that SSH_AUTH_SOCK names",
      "the provider of Pulumi opens no pipe; unset SSH_AUTH_SOCK and give privateKey",
    ]);
  if ([password, privateKey, privateKeyPassword, agentSocketPath, agent].every((way) => way === undefined))
    found.push(["privateKey", "a way to log in", "give privateKey, password or agentSocketPath, or set SSH_AUTH_SOCK"]);
  return found;
}
