// SPDX-License-Identifier: Apache-2.0

const undos = new Set<() => void>();

/** Runs `work`; `undo` runs at the end in every case, also when a signal ends this process. */
export async function undoing<T>(undo: () => void, work: () => Promise<T>): Promise<T> {
  undos.add(undo);
  try {
    return await work();
  } finally {
    undos.delete(undo);
    undo();
  }
}

for (const [signal, number] of Object.entries({ SIGHUP: 1, SIGINT: 2, SIGTERM: 15 })) {
  process.once(signal, () => {
    for (const undo of [...undos].reverse()) undo();
    process.exit(128 + number);
  });
}
