// SPDX-License-Identifier: Apache-2.0
export declare function withCleanup<T>(undo: () => void, work: () => Promise<T>): Promise<T>;
export declare function atInterrupt(say: () => void): void;
