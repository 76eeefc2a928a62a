// SPDX-License-Identifier: Apache-2.0

const undos = new Set();
let sayGoodbye = () => {};

/** Runs `work`. `undo` runs at the end in every case, also when a signal ends this process. */
export async function withCleanup(undo, work) {
  undos.add(undo);
  try {
    return await work();
  } finally {
    undos.delete(undo);
    undo();
  }
}

/** Sets what else happens when a signal ends this process, after every undo. */
export function atInterrupt(say) {
  sayGoodbye = say;
}

for (const [signal, number] of Object.entries({ SIGHUP: 1, SIGINT: 2, SIGTERM: 15 })) {
  // The handler stays after the first signal: a shell, npm and a terminal may each send one, and a
  // second signal must not end this process in the middle.
  process.on(signal, () => {
    for (const undo of [...undos].reverse()) undo();
    sayGoodbye();
    process.exit(128 + number);
  });
}
