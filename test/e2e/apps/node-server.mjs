// SPDX-License-Identifier: Apache-2.0
// The service of clients/web.py in Node: node node-server.mjs PORT
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";

const hashes = Array.from({ length: 1 << 15 }, (_, i) => createHash("sha256").update(`${i}`).digest());
const noise = Buffer.concat([...hashes, ...hashes]);

createServer(async (request, response) => {
  if (request.method === "POST") {
    const hash = createHash("sha256");
    for await (const part of request) hash.update(part);
    response.end(hash.digest("hex"));
    return;
  }
  const [, count, size] = request.url.split("/").map(Number);
  response.writeHead(200, { "Content-Length": count * size });
  for (let i = 0; i < count; i++) {
    if (!response.write(noise.subarray(i, i + size))) await once(response, "drain");
  }
  response.end();
}).listen(Number(process.argv[2]), "127.0.0.1");
