// SPDX-License-Identifier: Apache-2.0
import { utils } from "ssh2";

/** A public key whose private key nobody has. */
export const hostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFi8t0GHTwTPx0mVxdHbbTGmKzG6cOl8m1Co8xqKyQ4K";

/** Of the keys that ssh2 1.17 makes, it cannot read one in two hundred itself. */
export function makeKeyPair(options: Parameters<typeof utils.generateKeyPairSync<"ed25519">>[1] = {}) {
  for (;;) {
    const pair = utils.generateKeyPairSync("ed25519", options);
    if (!(utils.parseKey(pair.private, "passphrase" in options ? options.passphrase : "") instanceof Error))
      return pair;
  }
}
