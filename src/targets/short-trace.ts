// SPDX-License-Identifier: Apache-2.0

/** Of the SDK, from where a resource of its own is made to where the trace is read. */
const sdkFrames = 5;

/**
 * Makes a resource that has no stack trace in the state. The SDK records every frame between a
 * program and each of its resources, 1 KB for each step, without a limit that a program could set.
 */
export function withShortTrace<T>(make: () => T): T {
  const { prepareStackTrace } = Error;
  const print = prepareStackTrace ?? ((error, frames) => [`${error}`, ...frames].join("\n    at "));
  Error.prepareStackTrace = (error, frames) => print(error, frames.slice(0, sdkFrames));
  try {
    return make();
  } finally {
    Error.prepareStackTrace = prepareStackTrace;
  }
}
