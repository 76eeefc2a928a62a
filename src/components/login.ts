// SPDX-License-Identifier: Apache-2.0
import * as pulumi from "@pulumi/pulumi";
import type { normalizeHost } from "../install/normalize";

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

/** How a host is reached, which is a secret, as its connection is. */
export function loginOf(
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
