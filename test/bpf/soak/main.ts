// SPDX-License-Identifier: Apache-2.0
/*
 * `npm run soak -- [--minutes N]` runs test/bpf/soak.test.ts for N minutes (default 15). The last
 * line of stdout says as JSON what moved and what happened meanwhile. It exits with 1 if a byte was
 * lost, reordered or repeated, or something stayed behind.
 */
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";

const root = join(__dirname, "../../..");

function main(): number {
  const { values } = parseArgs({ options: { minutes: { type: "string", default: "15" } } });
  const minutes = Number(values.minutes);
  if (!(minutes > 0)) {
    console.error(`soak: --minutes: expected a number above 0, found ${values.minutes}`);
    return 2;
  }
  const folder = fs.mkdtempSync(join(tmpdir(), "socket-bypass-soak-"));
  try {
    const result = join(folder, "result.json");
    const { status } = spawnSync("node_modules/.bin/vitest", ["run", "test/bpf/soak.test.ts"], {
      cwd: root,
      stdio: ["ignore", "inherit", "inherit"],
      // With CI set, the test fails if a tool is missing; otherwise it would be skipped and pass.
      env: {
        ...process.env,
        CI: "1",
        SOCKET_BYPASS_SOAK_SECONDS: String(Math.ceil(minutes * 60)),
        SOCKET_BYPASS_SOAK_RESULT: result,
      },
    });
    if (fs.existsSync(result)) process.stdout.write(fs.readFileSync(result, "utf8"));
    return status ?? 1;
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

process.exitCode = main();
