// SPDX-License-Identifier: Apache-2.0
import { createPrivateKey, type KeyObject } from "node:crypto";

/**
 * A private key as our SSH client reads it. The provider also reads PKCS#8, which is what
 * `openssl genpkey` writes, and other text before and after the key.
 */
export function asClientReads(text: string): string {
  const [pem = text, type] = /-----BEGIN ([A-Z ]*)PRIVATE KEY-----[\s\S]*?-----END \1PRIVATE KEY-----/.exec(text) ?? [];
  if (type !== "") return pem.replace(/[ \t]+$/gm, "");
  const key = createPrivateKey(pem);
  if (key.asymmetricKeyType === "ed25519") return asOpenSsh(key);
  return key.export({ type: key.asymmetricKeyType === "ec" ? "sec1" : "pkcs1", format: "pem" }).toString();
}

/**
 * The same key in the fewest bytes that the provider reads, for the state holds it sixteen times
 * for each host: of ed25519, what `ssh-keygen` writes has 411 bytes and PKCS#8 has 119. Text that
 * is not such a key of OpenSSH, and one with a password, stays as it is.
 */
export function asStateHolds(text: string): string {
  // The provider takes the first of several keys.
  const body = /^(?:(?!-----BEGIN )[\s\S])*-----BEGIN OPENSSH PRIVATE KEY-----([\s\S]*?)-----END/.exec(text)?.[1];
  if (body === undefined) return text;
  const whole = Buffer.from(body, "base64");
  const head = Buffer.concat([
    ...[Buffer.from("openssh-key-v1\0"), asString("none"), asString("none"), asString(""), asNumber(1)],
    ...[asNumber(51), asString("ssh-ed25519"), asNumber(32)],
  ]);
  if (!whole.subarray(0, head.length).equals(head)) return text;
  const point = whole.subarray(head.length, head.length + 32);
  // Behind the public key a length, two equal numbers, the public key again, and what is 64 bytes:
  // the seed and the public key.
  const secret = Buffer.concat([asString("ssh-ed25519"), asString(point), asNumber(64)]);
  const start = head.length + 32 + 4 + 8;
  const seed = whole.subarray(start + secret.length, start + secret.length + 32);
  if (!whole.subarray(start, start + secret.length).equals(secret) || seed.length !== 32) return text;
  const [d, x] = [seed.toString("base64url"), point.toString("base64url")];
  try {
    const key = createPrivateKey({ format: "jwk", key: { kty: "OKP", crv: "Ed25519", d, x } });
    return key.export({ type: "pkcs8", format: "pem" }).toString();
  } catch {
    // An OpenSSL that knows no ed25519 (FIPS) is no reason to fail here: it is not we who log in
    // with it.
    return text;
  }
}

/** What PROTOCOL.key of OpenSSH describes, without a password: all that ssh2 reads of this type. */
function asOpenSsh(key: KeyObject): string {
  const { d = "", x = "" } = key.export({ format: "jwk" });
  const [seed, point] = [Buffer.from(d, "base64url"), Buffer.from(x, "base64url")];
  const publicKey = Buffer.concat([asString("ssh-ed25519"), asString(point)]);
  // Two equal numbers tell a reader that a password was right.
  const numbers = Buffer.alloc(8);
  const secret = [numbers, publicKey, asString(Buffer.concat([seed, point])), asString("")];
  const length = secret.reduce((sum, part) => sum + part.length, 0);
  const padding = Buffer.from([1, 2, 3, 4, 5, 6, 7].slice(0, -length & 7));
  const whole = Buffer.concat([
    ...[Buffer.from("openssh-key-v1\0"), asString("none"), asString("none"), asString(""), asNumber(1)],
    ...[asString(publicKey), asString(Buffer.concat([...secret, padding]))],
  ]);
  const lines = whole.toString("base64").match(/.{1,70}/g) ?? [];
  return ["-----BEGIN OPENSSH PRIVATE KEY-----", ...lines, "-----END OPENSSH PRIVATE KEY-----", ""].join("\n");
}

function asNumber(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function asString(value: string | Buffer): Buffer {
  return Buffer.concat([asNumber(value.length), Buffer.from(value as string)]);
}
