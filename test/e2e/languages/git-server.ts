// SPDX-License-Identifier: Apache-2.0
import { execFileSync, spawn } from "node:child_process";
import * as fs from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import { join } from "node:path";

/**
 * An address of loopback that nothing else on a machine uses. Pulumi does not find a plugin whose
 * folder has a colon in its name, and that name begins with the address, so the port is 443.
 */
const address = `127.${100 + (process.pid >> 16)}.${(process.pid >> 8) & 255}.${process.pid & 255}`;

/** Serves the bare repositories of a folder over HTTPS on loopback by git's own http-backend. */
export class GitServer {
  /** The authority that signed its certificate, as a file. */
  readonly authority: string;
  /** The lines of the requests that it had. */
  readonly requests: string[] = [];
  private readonly server: Server;

  constructor(private readonly folder: string) {
    this.authority = join(folder, "server.pem");
    const key = join(folder, "server.key");
    const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
    const name = ["-subj", "/CN=git", "-addext", `subjectAltName=IP:${address}`];
    const words = ["req", "-x509", ...curve, ...name, "-keyout", key, "-out", this.authority];
    execFileSync("openssl", words, { stdio: "pipe" });
    const tls = { key: fs.readFileSync(key), cert: fs.readFileSync(this.authority) };
    this.server = createServer(tls, (request, response) => this.answer(request, response));
  }

  /** Returns the address of the folder, without a slash at its end. */
  async open(): Promise<string> {
    await new Promise<void>((done, fail) => this.server.once("error", fail).listen(443, address, done));
    return `https://${address}`;
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((done) => this.server.close(done));
  }

  private answer(request: IncomingMessage, response: ServerResponse): void {
    const { pathname, search } = new URL(request.url ?? "/", "https://localhost");
    this.requests.push(`${request.method} ${request.url}`);
    const { headers } = request;
    const backend = spawn("git", ["http-backend"], {
      stdio: ["pipe", "pipe", "inherit"],
      env: {
        ...{ PATH: process.env.PATH, GIT_PROJECT_ROOT: this.folder, GIT_HTTP_EXPORT_ALL: "1" },
        ...{ REQUEST_METHOD: request.method, PATH_INFO: pathname, QUERY_STRING: search.slice(1) },
        CONTENT_TYPE: headers["content-type"] ?? "",
        HTTP_CONTENT_ENCODING: `${headers["content-encoding"] ?? ""}`,
        GIT_PROTOCOL: `${headers["git-protocol"] ?? ""}`,
      },
    });
    // git ends its input early where it refuses a request.
    backend.stdin.on("error", () => undefined);
    request.pipe(backend.stdin);
    const said: Buffer[] = [];
    backend.stdout.on("data", (part: Buffer) => said.push(part));
    backend.once("error", (error) => response.destroy(error));
    backend.once("close", () => {
      const all = Buffer.concat(said);
      const end = all.indexOf("\r\n\r\n");
      const fields = all.subarray(0, end).toString().split("\r\n");
      for (const field of fields) {
        const [, name = "", value = ""] = /^([^:]+): *(.*)$/.exec(field) ?? [];
        if (name === "Status") response.statusCode = Number.parseInt(value, 10);
        else if (name !== "") response.setHeader(name, value);
      }
      response.end(all.subarray(end + 4));
    });
  }
}
