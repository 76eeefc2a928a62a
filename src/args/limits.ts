// SPDX-License-Identifier: Apache-2.0
import type * as pulumi from "@pulumi/pulumi";
import { shape, whole } from "./validation/schema";

/** Bounds on what the bypass may hold. */
export interface Limits {
  /**
   * Bytes that may wait on one receiving socket before its sender goes on by TCP, 1024 for each
   * message with them, from 65536 to 1073741824. Default 4194304 (4 MiB); less where that socket
   * has set a smaller SO_RCVBUF. A change keeps the generation.
   */
  queueBytes?: pulumi.Input<number>;
  /**
   * Seconds after which each direction of a bypassed connection sends one message by TCP, from 1 to
   * 300, so that conntrack does not forget the connection and a firewall rule that is added later
   * is met. Default: 30 on a kernel with HZ=1000, 120 with 250, 300 with 100. A
   * change keeps the generation.
   */
  refreshSeconds?: pulumi.Input<number>;
  /**
   * Sockets that may be enrolled at once, from 64 to 4194304; more stay plain TCP. Default 65536. A
   * change hands over to a new generation.
   */
  sockets?: pulumi.Input<number>;
  /**
   * Connections of which one end has been seen and the other not yet, from 64 to 1048576. Default
   * 8192. A change hands over to a new generation.
   */
  pendingPairs?: pulumi.Input<number>;
}

/** @internal */
export const mapDefaults = { sockets: 65536, pendingPairs: 8192 };

/** @internal */
export const limitSchema = shape({
  queueBytes: whole(65536, 1073741824, "bytes"),
  refreshSeconds: whole(1, 300, "seconds"),
  sockets: whole(64, 4194304, "sockets"),
  pendingPairs: whole(64, 1048576, "pairs"),
});
