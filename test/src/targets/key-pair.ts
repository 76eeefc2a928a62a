// SPDX-License-Identifier: Apache-2.0
import { utils } from "ssh2";

/** Of the keys that ssh2 1.17 makes, it cannot read one in two hundred itself. */
export function makeKeyPair(options: Parameters<typeof utils.generateKeyPairSync<"ed25519">>[1] = {}) {
  for (;;) {
    const pair = utils.generateKeyPairSync("ed25519", options);
    if (!(utils.parseKey(pair.private, "passphrase" in options ? options.passphrase : "") instanceof Error))
      return pair;
  }
}
