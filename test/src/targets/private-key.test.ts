// SPDX-License-Identifier: Apache-2.0
import { generateKeyPairSync } from "node:crypto";
import { utils } from "ssh2";
import { describe, expect, test } from "vitest";
import { asClientReads } from "../../../src/targets/private-key";
import { lookBySsh } from "../../../src/targets/ssh-look";
import { answer, encrypted, serve } from "./server";

const pairs = {
  "ssh-ed25519": generateKeyPairSync("ed25519"),
  "ssh-rsa": generateKeyPairSync("rsa", { modulusLength: 2048 }),
  "ecdsa-sha2-nistp256": generateKeyPairSync("ec", { namedCurve: "P-256" }),
  "ecdsa-sha2-nistp521": generateKeyPairSync("ec", { namedCurve: "P-521" }),
};

describe.each(Object.entries(pairs))("a private key of type %s in PKCS#8", (type, { privateKey, publicKey }) => {
  const pem = privateKey.export({ type: "pkcs8", format: "pem" }).toString();

  test("is the same key to our client, which does not read it as it is", () => {
    expect(utils.parseKey(pem)).toBeInstanceOf(Error);
    const read = utils.parseKey(asClientReads(pem));
    if (read instanceof Error) throw read;
    expect([read.type, read.isPrivateKey()]).toEqual([type, true]);
    const given = publicKey.export({ type: "spki", format: "pem" });
    const theirs = read.getPublicPEM().replace(/-----.*-----|\s/g, "");
    expect(theirs).toBe(`${given}`.replace(/-----.*-----|\s/g, ""));
  });

  test("lets us in", async () => {
    expect(await lookBySsh({ ...(await serve(answer("x"))), privateKey: pem }, "line")).toBe("x");
  });
});

test("other text before and after a key, blanks at the ends of its lines and a password change nothing of it", () => {
  const read = asClientReads(`of ops:\n\n${encrypted.replace(/\n/g, " \r\n")}\nend\n`);
  expect(read.replace(/\r/g, "").trim()).toBe(encrypted.trim());
  expect(utils.parseKey(read, "x")).not.toBeInstanceOf(Error);
});

test("what is no key fails in words that show nothing of it", async () => {
  const wrong = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0LWJ5dGVz\n-----END PRIVATE KEY-----\n";
  const failed = lookBySsh({ ...(await serve(answer("x"))), privateKey: wrong }, "line").then(
    () => expect.fail("expected a failure, and it was let in"),
    (error: Error) => error.message,
  );
  expect(await failed).toMatch(/^cannot be asked: /);
  expect(await failed).not.toMatch(/c2Vj|secret/);
});
