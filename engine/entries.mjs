// SPDX-License-Identifier: Apache-2.0

export const PULUMI_VERSION = "v3.259.0";
/** The version of @pulumi/command in package-lock.json: the engine asks for exactly this plugin. */
export const COMMAND_VERSION = "1.2.1";
/** The oldest CLI the package works with. */
export const OLDEST_PULUMI = [3, 182, 0];
/** What the go.mod files ask for. */
export const OLDEST_GO = [1, 25, 11];

const sdkVersion = (version) => `-X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=${version}`;

/**
 * What is built from Go modules; the folder beside this file with the same name holds go.mod and go.sum.
 * `package` is what `go build` is told, `usually` is on 2 cores with nothing cached.
 */
export const entries = {
  pulumi: {
    package: "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
    tags: "osusergo,grpcnotrace",
    // Without a version the Automation API refuses the CLI.
    ldflags: sdkVersion(PULUMI_VERSION),
    usually: "4 to 5 minutes",
  },
  "pulumi-language-nodejs": {
    package: "github.com/pulumi/pulumi/sdk/nodejs/cmd/pulumi-language-nodejs/v3",
    tags: "osusergo,grpcnotrace",
    ldflags: sdkVersion("v3.184.0"),
    usually: "half a minute",
  },
  "pulumi-resource-command": {
    package: ".",
    tags: "",
    ldflags: "",
    usually: "half a minute",
  },
};

/** The CLI looks for language hosts beside its own executable. */
export const cliEntries = ["pulumi", "pulumi-language-nodejs"];
