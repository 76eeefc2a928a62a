// SPDX-License-Identifier: Apache-2.0

// These types have a file without imports, because a compiler that reads our declarations also
// reads all that they import.

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

/** Where the pods of a node pool are. */
export interface NodePoolLogin {
  /**
   * The namespace of the pods.
   */
  namespace: string;
  /**
   * The name of the DaemonSet.
   */
  daemonSet: string;
}

/** Where an installation is, without any key or password. */
export interface HostLogin {
  /**
   * How to reach the host; absent for the machine that runs Pulumi, and for a node pool.
   */
  ssh?: HostAddress;
  /**
   * The command in front of every command; absent for none.
   */
  become?: string;
  /**
   * Directory on the host for the files; absent for a node pool.
   */
  stateDir?: string;
  /**
   * What the installation is called on the host, or on each node of the pool.
   */
  instance: string;
  /**
   * The pods of a node pool; absent for a host.
   */
  nodePool?: NodePoolLogin;
}
