// SPDX-License-Identifier: Apache-2.0
/*
 * `npm run soak -- [--minutes N]`: test/bpf/soak.test.ts for N minutes (default 15). The last line
 * of stdout is what it moved and what happened meanwhile, as JSON; exit 1 when a byte was lost,
 * reordered or repeated, or something stayed behind.
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
      // CI: where something is missing that it needs, it must not pass by being skipped.
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
