// SPDX-License-Identifier: Apache-2.0
import type * as pulumi from "@pulumi/pulumi";
import { shape, text } from "./schema";

/** One host: the machine that runs Pulumi. */
export interface HostArgs {
  /**
   * Tells this machine from another one, such as the id of a VM: another id removes everything from the old machine and installs anew. Default "local".
   */
  id?: pulumi.Input<string>;
  /**
   * Command in front of every command, to become root without being asked, such as "sudo -n". Default: none, Pulumi runs as root. This gives full root rights to Pulumi.
   */
  become?: pulumi.Input<string>;
  /**
   * Directory on the host for the files, absolute, owned by root all the way up. Default "/var/lib/socket-bypass".
   */
  stateDir?: pulumi.Input<string>;
}

export const hostDefaults = { id: "local", become: "", stateDir: "/var/lib/socket-bypass" };

export const hostProperties = {
  id: text("a printable text of 1 to 200 characters", "use the id of the machine", (value) =>
    /^[\x20-\x7e]{1,200}$/.test(value),
  ),
  become: text(
    'a command and its options, such as "sudo -n"',
    "use letters, digits and . _ / - + : only, one blank between words, no quotes",
    (value) => /^[A-Za-z0-9_./+:-]+( [A-Za-z0-9_./+:=-]+)*$/.test(value),
  ),
  // The boot unit names this directory: no blank, no percent sign.
  stateDir: text(
    'an absolute directory such as "/var/lib/socket-bypass"',
    'use letters, digits and . _ - in each part, and no "..", no double or closing "/"',
    (value) => value.length <= 200 && /^(\/[A-Za-z0-9._-]+)+$/.test(value) && !/\/\.{1,2}(\/|$)/.test(value),
  ),
};

export const hostSchema = shape(hostProperties);
