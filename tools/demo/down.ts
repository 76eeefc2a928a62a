// SPDX-License-Identifier: Apache-2.0
// Removes what `npm start` installed; `npm run down` runs this.
import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { Engine, isStackThere, needRoot, stateFolder } from "./engine";
import { findBypass } from "./host";
import { DemoError, say, start } from "./run";

start(async () => {
  needRoot("npm run down");
  if (isStackThere()) {
    const engine = await Engine.open();
    say("pulumi destroy");
    await engine.destroy();
  }
  const left = await findBypass();
  if (left !== undefined) {
    throw new DemoError(
      `expected nothing of the demo on this host, found ${left.instance}; type: ${left.removeCommand}`,
    );
  }
  if (existsSync(stateFolder)) await rm(stateFolder, { recursive: true });
  say("nothing of the demo is left on this host: no program, map, file or state");
});
