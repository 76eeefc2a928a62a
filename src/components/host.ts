// SPDX-License-Identifier: Apache-2.0
import * as pulumi from "@pulumi/pulumi";
import type { HostArgs } from "../args/host";
import { allRight, when } from "../args/validation/right";
import { type Installed, installSteps } from "../install/host-steps";
import { normalizeHost } from "../install/normalize";
import { targetFor } from "../targets/target-for";
import type { Part } from "./child";
import { childOptions } from "./child-options";
import { identityOf } from "./instance";

export const hostType = "socket-bypass:index:BypassHost";

/** One machine to log in to. */
export interface LoginAddress {
  /**
   * Name or address of the machine.
   */
  host: string;
  /**
   * Port of its SSH server.
   */
  port: number;
  /**
   * User to log in as.
   */
  user: string;
}

/** How the host of a login is reached. */
export interface HostAddress extends LoginAddress {
  /**
   * Bastion: a machine to log in to first.
   */
  proxy?: LoginAddress;
}

/** Where an installation is, without any key or password. */
export interface HostLogin {
  /**
   * How to reach the host; absent for the machine that runs Pulumi.
   */
  ssh?: HostAddress;
  /**
   * The command in front of every command; absent for none.
   */
  become?: string;
  /**
   * Directory on the host for the files.
   */
  stateDir: string;
  /**
   * What the installation is called on the host.
   */
  instance: string;
}

/** An installation, and how its host is reached, which is secret. */
export interface InstalledHost extends Installed {
  readonly login: pulumi.Output<HostLogin>;
}

/** `after` lists installations that must succeed before the first step of this one begins. */
export function installHost(part: Part, args: HostArgs, after: readonly Installed[] = []): InstalledHost {
  const { component, name, key, where, shared, opts } = part;
  const identity = identityOf(key, args.instance, where);
  const host = normalizeHost(args, where, identity.instance);
  const right = allRight([shared.right, host.right]);
  const installed = installSteps({
    ...{ name, identity, after, target: targetFor(host) },
    args: { ...shared, ...host, right },
    opts: childOptions(component, opts),
  });
  return { ...installed, login: when(right, loginOf(host, identity.instance)) };
}

function loginOf(
  { connection, become, stateDir }: ReturnType<typeof normalizeHost>,
  instance: string,
): pulumi.Output<HostLogin> {
  const ssh = connection?.apply(({ proxy, ...login }) => ({
    ...addressOf(login),
    ...(proxy && { proxy: addressOf(proxy) }),
  }));
  const all = pulumi.all([ssh, become, stateDir]).apply(
    ([way, prefix, folder]): HostLogin => ({
      ...(way && { ssh: way }),
      ...(prefix !== "" && { become: prefix }),
      ...{ stateDir: folder, instance },
    }),
  );
  return pulumi.secret(all);
}

function addressOf({ host, port, user }: LoginAddress): LoginAddress {
  return { host, port, user };
}

export function outputsOfHost({ shown, generation, selfTest }: Installed) {
  return { generation: when(shown, generation), selfTest: when(shown, selfTest) };
}
