// SPDX-License-Identifier: Apache-2.0

/** The SDK's own frames from the creation of a resource to where the SDK reads the trace. */
const sdkFrames = 5;

/**
 * Makes a resource without leaving its stack trace in the state. The SDK records every frame
 * between a program and each of its resources, 1 KB for each step, and a program cannot set a
 * limit.
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
