// SPDX-License-Identifier: Apache-2.0
// The two forms that package.json has in a release.

type Versions = Readonly<Record<string, string>>;
type Manifest = Readonly<Record<string, unknown>>;

/** For npm: without what only a checkout can use. */
export function forNpm(manifest: Manifest): Manifest {
  const { scripts, devDependencies, ...rest } = manifest;
  return rest;
}

/**
 * For the tag: Pulumi installs it beside no program, so nobody else brings the peers. They are
 * dependencies there, in the versions that the tests use: the newest ones need a newer Node.js.
 */
export function forTag(manifest: Manifest): Manifest {
  const { peerDependencies, peerDependenciesMeta, ...rest } = forNpm(manifest);
  const tested = manifest.devDependencies as Versions;
  const peers = Object.keys(peerDependencies as Versions).map((name) => [name, tested[name]]);
  return { ...rest, dependencies: { ...(rest.dependencies as Versions), ...Object.fromEntries(peers) } };
}
