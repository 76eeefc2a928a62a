// SPDX-License-Identifier: Apache-2.0
import type * as pulumi from "@pulumi/pulumi";
import type { z } from "zod";
import { type Connection, connectionSchema } from "./connection";
import { instanceName } from "./instance";
import { flag, hiddenText, leaf, plainFlag, shape, text, wrong } from "./validation/schema";

/** Types of machines, as `uname -m` says them. */
export const Machine = {
  /** 64-bit processors of Intel and AMD. */
  X86_64: "x86_64",
  /** 64-bit processors of Arm. */
  Aarch64: "aarch64",
} as const;

export type Machine = (typeof Machine)[keyof typeof Machine];

/**
 * One host: either the machine at the other end of a connection, or with `local: true` the machine
 * that runs Pulumi.
 */
export interface Host {
  /**
   * True: the host is the machine that runs Pulumi. Required unless there is a connection, beside
   * which it may only be false. Default: none.
   */
  local?: boolean;
  /**
   * How to reach the host by SSH. Required unless local is true. Default: none.
   */
  connection?: pulumi.Input<Connection>;
  /**
   * Accept any host key of the machine, and of the bastion, where none is given. Then nothing
   * proves which machine gets root commands and passwords. Default false.
   */
  allowUnknownHostKey?: boolean;
  /**
   * Type of the machine as `uname -m` prints it there, "x86_64" or "aarch64". The type decides
   * which program is sent. Default: "x86_64", and for a local host the type of that machine.
   */
  machine?: pulumi.Input<Machine>;
  /**
   * Identifies this machine, such as by the ID of a VM. With another value, everything is removed
   * from the old machine and installed on the new one. Default: address and port of the connection,
   * or "local" for a local host.
   */
  machineId?: pulumi.Input<string>;
  /**
   * Command in front of every command, to become root without being asked, such as "sudo -n".
   * Default: none, Pulumi runs as root. This gives full root rights to Pulumi.
   */
  become?: pulumi.Input<string>;
  /**
   * Directory on the host for the files, absolute; root owns it and every folder above it, and
   * nobody else may write to them, so not below /tmp. Default "/var/lib/socket-bypass".
   */
  stateDir?: pulumi.Input<string>;
  /**
   * Write a systemd unit that starts all again at each boot, where systemd runs. Say false where
   * nothing can be written to /etc/systemd/system, as on NixOS, and have `socket-bypass boot start
   * --instance NAME` run at boot by other means. Default true.
   */
  boot?: pulumi.Input<boolean>;
  /**
   * What the installation is called on the host. Before you rename the component, the host's key,
   * the stack or the project, give the name that the installation has now: then the rename replaces
   * nothing. Lower-case letters, digits and dashes, at most 63; one for each host of a program.
   * Default: made from those names, and another name replaces everything.
   */
  instance?: string;
}

/** @internal */
export const hostDefaults = { machineId: "local", become: "", stateDir: "/var/lib/socket-bypass", boot: true };

const machines: readonly unknown[] = Object.values(Machine);

/** @internal */
export const hostProperties = {
  local: plainFlag(),
  connection: leaf("a connection", "", () => true),
  allowUnknownHostKey: plainFlag(),
  machine: leaf('"x86_64" or "aarch64"', "give what `uname -m` says on the host", (value) => machines.includes(value)),
  machineId: hiddenText("a printable text of 1 to 200 characters", "use the ID of the machine", (value) =>
    /^[\x20-\x7e]{1,200}$/.test(value),
  ),
  become: hiddenText(
    'a command and its options, such as "sudo -n"',
    "use letters, digits and . _ / - + : only, one blank between words, no quotes",
    (value) => /^[A-Za-z0-9_./+:-]+( [A-Za-z0-9_./+:=-]+)*$/.test(value),
  ),
  // The boot unit names this directory, so it has no blank and no percent sign. Root runs the files
  // in it, so directories that everybody may write to are refused; the host script checks the
  // owners of all others.
  stateDir: text(
    'an absolute directory such as "/var/lib/socket-bypass"',
    'use letters, digits and . _ - in each part, and no "..", no double or closing "/"; nothing below /tmp, /var/tmp, /dev/shm, /run/lock or /run/user',
    (value) =>
      value.length <= 200 &&
      /^(\/[A-Za-z0-9._-]+)+$/.test(value) &&
      !/\/\.{1,2}(\/|$)/.test(value) &&
      !/^(\/var)?\/(tmp|dev\/shm|run\/(lock|shm|user)|lock)(\/|$)/.test(value),
  ),
  boot: flag(),
  instance: instanceName,
};

/**
 * Checks that the host is in one place, and checks the connection together with
 * allowUnknownHostKey, which decides whether a host key may be missing. @internal
 */
export const isInOnePlace: z.core.CheckFn<Record<string, unknown>> = (context) => {
  const { local, connection, allowUnknownHostKey } = context.value;
  if (connection === undefined) {
    const fix = "give a connection, or local: true if this is the machine that runs Pulumi";
    if (local === undefined) context.issues.push(wrong(undefined, ["connection"], "a way to reach the host", fix));
    else if (local === false) context.issues.push(wrong(false, ["local"], "true, or a connection beside it", fix));
    return;
  }
  if (local === true) {
    const fix = "leave out local for a host over SSH, or the connection for the machine that runs Pulumi";
    context.issues.push(wrong(true, ["local"], "either local: true or a connection", fix));
  }
  const schema = connectionSchema(allowUnknownHostKey === true);
  const issues = schema.safeParse(connection, { reportInput: true }).error?.issues ?? [];
  for (const issue of issues)
    context.issues.push({ ...issue, path: ["connection", ...issue.path], continue: true } as never);
};

/** @internal */
export const hostSchema = shape(hostProperties).check(isInOnePlace);
