// SPDX-License-Identifier: Apache-2.0
// An application behind a proxy: node app.mjs ADDRESS PORT. It answers each request with 1 KiB.
import { createServer } from "node:http";

const [address, port] = process.argv.slice(2);
const page = Buffer.alloc(1024, "x");

createServer((_, response) => {
  response.writeHead(200, { "Content-Length": page.length });
  response.end(page);
}).listen(Number(port), address);
