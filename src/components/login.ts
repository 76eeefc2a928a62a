// SPDX-License-Identifier: Apache-2.0
import * as pulumi from "@pulumi/pulumi";
import type { normalizeHost } from "../install/normalize";
import type { HostLogin, LoginAddress } from "./host-login";

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
