// SPDX-License-Identifier: Apache-2.0

/**
 * What was expected and how to fix it; undefined for a valid value. It never shows what was found,
 * which is a secret or stands beside one.
 */
export type Complaint = readonly [expected: string, fix: string] | undefined;

const curves = ["ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"];

/**
 * Checks one line of a .pub file. The provider compares whole keys, so the type of this key decides
 * which key the machine must present.
 */
export function hostKeyProblem(value: unknown): Complaint {
  const expected = 'a public host key of type ed25519 or ecdsa, such as "ssh-ed25519 AAAA…"';
  if (typeof value !== "string") return [expected, "copy /etc/ssh/ssh_host_ed25519_key.pub from the machine"];
  const [type = "", body = ""] = value.trim().split(/\s+/);
  if (/^(ssh-rsa|rsa-sha2-.*|ssh-dss)$/.test(type)) {
    const why =
      "with a key of type rsa the provider of Pulumi asks for SHA-1 signatures only, which sshd has not given since OpenSSH 8.8";
    return [`${expected}, not rsa`, `${why}; copy /etc/ssh/ssh_host_ed25519_key.pub instead`];
  }
  const inside = Buffer.from(body, "base64");
  const length = inside.length > 4 ? inside.readUInt32BE() : 0;
  const isKey =
    curves.includes(type) && inside.length > length + 30 && inside.toString("latin1", 4, 4 + length) === type;
  return isKey
    ? undefined
    : [expected, "give the first two words of the .pub file: no file name, no host name in front, nothing cut off"];
}

/**
 * Checks that the value has the form of a key that the provider reads. Only the machine knows
 * whether it is the right key.
 */
export function privateKeyProblem(value: unknown): Complaint {
  const isKey = typeof value === "string" && /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]+-----END /.test(value);
  if (isKey) return undefined;
  return ["the text of a private key", 'read the file, as in fs.readFileSync(path, "utf8"); a path will not do'];
}

/** Whether the key can be read only with a password. */
export function isEncrypted(key: string): boolean {
  const body = key.replace(/-----[^-]*-----/g, "").replace(/\s/g, "");
  const head = "openssh-key-v1\0";
  const inside = Buffer.from(body, "base64");
  if (inside.toString("latin1", 0, head.length) !== head) return /ENCRYPTED/.test(key);
  const length = inside.readUInt32BE(head.length);
  return inside.toString("latin1", head.length + 4, head.length + 4 + length) !== "none";
}
