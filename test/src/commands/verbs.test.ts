// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { shellLine } from "../../../src/commands/quote";
import {
  attachCgroup,
  attachVerdict,
  createMap,
  defaultStateDir,
  installObject,
  loadProgram,
  runSelfTest,
  setPolicy,
} from "../../../src/commands/verbs";

const on = {
  stateDir: defaultStateDir,
  instance: "edge-web1-0a1b2c3d",
  generation: "3f2a9c000000",
  owner: "p/s/edge/web1",
};
const there = "sh /var/lib/socket-bypass/edge-web1-0a1b2c3d/3f2a9c000000/socket-bypass";
const which = "--instance edge-web1-0a1b2c3d --generation 3f2a9c000000";
const end = `${which} --owner p/s/edge/web1`;
const policy = {
  everything: false,
  ports: [],
  cidrs: [],
  enabled: true,
  queueBytes: undefined,
  refreshSeconds: undefined,
};

test.each([
  [
    installObject(
      on,
      { digest: "d1", isSource: false },
      { cgroup: "/", takeOver: false, boot: true, spliceGuard: "auto" },
    ),
    `sh -s -- object install --cgroup / ${end} --digest d1`,
  ],
  [
    installObject(
      on,
      { digest: "d1", isSource: true },
      { cgroup: "/a", takeOver: true, boot: false, spliceGuard: "off" },
    ),
    `sh -s -- object install --cgroup /a --compile --take-over --boot false --splice-guard off ${end} --digest d1`,
  ],
  [createMap(on, { sockets: 64, pendingPairs: 128 }), `${there} map create --sockets 64 --pending 128 ${end}`],
  [loadProgram(on, "track"), `${there} program load track ${end}`],
  [loadProgram(on, "redirect"), `${there} program load redirect ${end}`],
  [attachVerdict(on), `${there} verdict attach ${end}`],
  [
    runSelfTest(on, { enabled: true, timeoutSeconds: 60, spliceGuard: "auto" }),
    `${there} selftest --timeout 60 ${end}`,
  ],
  [
    runSelfTest(on, { enabled: false, timeoutSeconds: 60, spliceGuard: "require" }),
    `${there} selftest --off --splice-guard require ${end}`,
  ],
  [setPolicy(on, { ...policy, everything: true }), `${there} policy set --everything --enabled true ${end}`],
  [
    setPolicy(on, {
      ...policy,
      ports: ["1", "2-3"],
      cidrs: ["::/0", "10.0.0.0/8"],
      enabled: false,
      queueBytes: 65536,
      refreshSeconds: 60,
    }),
    `${there} policy set --ports 1,2-3 --cidrs ::/0,10.0.0.0/8 --enabled false --queue-bytes 65536 --refresh-seconds 60 ${end}`,
  ],
  [attachVerdict({ ...on, epochs: { verdict: 3, map: 4 } }), `${there} verdict attach ${end} --epoch 3`],
  [attachVerdict({ ...on, epochs: { verdict: 0 } }), `${there} verdict attach ${end}`],
  [
    attachCgroup(on, { cgroup: "/", takeOver: false, adopt: false, spliceGuard: "auto", boot: true }),
    `${there} attach --cgroup / ${end}`,
  ],
  [
    attachCgroup(on, { cgroup: "/b", takeOver: true, adopt: true, spliceGuard: "off", boot: false }),
    `${there} attach --cgroup /b --take-over --adopt --splice-guard off --boot false ${end}`,
  ],
  [
    attachVerdict({ ...on, stateDir: "/opt/sb" }),
    `sh /opt/sb/edge-web1-0a1b2c3d/3f2a9c000000/socket-bypass verdict attach ${which} --state-dir /opt/sb --owner p/s/edge/web1`,
  ],
])("%#: a step is one line that a person could type", (words, line) => {
  expect(shellLine(words)).toBe(line);
});
