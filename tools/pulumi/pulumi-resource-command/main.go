// SPDX-License-Identifier: Apache-2.0

// A stand-in for the official Pulumi command provider 1.2.1, for machines that cannot download it.
// It is the provider of January 2024, the newest that builds from Go modules, adapted to the 1.2.1
// SDK.
package main

import (
	"fmt"
	"os"
	"strings"

	command "github.com/pulumi/pulumi-command/provider/pkg/provider"
	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

const (
	version = "1.2.1"
	// Only tests set it, because without hostKey nothing proves which machine answers.
	allowRemote = "SOCKET_BYPASS_STAND_IN_ALLOW_REMOTE"
	notice      = "stand-in for the Pulumi command provider " + version + " (its code of January 2024): " +
		"it ignores hostKey, logging and addPreviousOutputInEnv, cannot cancel a running command, and refuses SSH"
)

func main() {
	fmt.Fprintln(os.Stderr, notice)
	if err := p.RunProvider("command", version, standIn(command.NewProvider())); err != nil {
		fmt.Fprintf(os.Stderr, "Error: %s\n", err)
		os.Exit(1)
	}
}

func standIn(real p.Provider) p.Provider {
	wrapped := real

	// The real Cancel panics under a new CLI and loses the results of running commands.
	wrapped.Cancel = func(p.Context) error { return nil }

	wrapped.Check = func(ctx p.Context, req p.CheckRequest) (p.CheckResponse, error) {
		if err := refuseRemote(req.Urn); err != nil {
			return p.CheckResponse{}, err
		}
		req.News = dropLater(req.News)
		return real.Check(ctx, req)
	}
	// Functions have no Check.
	wrapped.Invoke = func(ctx p.Context, req p.InvokeRequest) (p.InvokeResponse, error) {
		req.Args = dropLater(req.Args)
		return real.Invoke(ctx, req)
	}
	// Wherever this serves, addPreviousOutputInEnv is false. Without this, outputs of megabytes
	// in the environment would break a connection.
	wrapped.Update = func(ctx p.Context, req p.UpdateRequest) (p.UpdateResponse, error) {
		req.Olds = withoutAnswers(req.Olds)
		return real.Update(ctx, req)
	}
	// A destroy connects without calling Check first.
	wrapped.Delete = func(ctx p.Context, req p.DeleteRequest) error {
		if err := refuseRemote(req.Urn); err != nil {
			return err
		}
		req.Properties = withoutAnswers(req.Properties)
		return real.Delete(ctx, req)
	}
	return wrapped
}

func refuseRemote(urn resource.URN) error {
	if os.Getenv(allowRemote) != "" || !strings.HasPrefix(string(urn.Type()), "command:remote:") {
		return nil
	}
	return fmt.Errorf("%s: expected the official command provider, found its stand-in, which cannot check host keys; "+
		"install it with `pulumi plugin install resource command %s` on a machine with internet", urn.Name(), version)
}

// dropLater removes the fields that came after January 2024.
func dropLater(props resource.PropertyMap) resource.PropertyMap {
	kept := without(props, "logging", "addPreviousOutputInEnv")
	return inside(kept, "connection", func(connection resource.PropertyMap) resource.PropertyMap {
		return inside(without(connection, "hostKey"), "proxy", func(proxy resource.PropertyMap) resource.PropertyMap {
			return without(proxy, "hostKey")
		})
	})
}

func withoutAnswers(props resource.PropertyMap) resource.PropertyMap {
	kept := props.Copy()
	for _, key := range []resource.PropertyKey{"stdout", "stderr"} {
		if _, ok := kept[key]; ok {
			kept[key] = resource.NewStringProperty("")
		}
	}
	return kept
}

func without(props resource.PropertyMap, keys ...resource.PropertyKey) resource.PropertyMap {
	kept := props.Copy()
	for _, key := range keys {
		delete(kept, key)
	}
	return kept
}

func inside(
	props resource.PropertyMap, key resource.PropertyKey, change func(resource.PropertyMap) resource.PropertyMap,
) resource.PropertyMap {
	if value, ok := props[key]; ok {
		props[key] = mapObject(value, change)
	}
	return props
}

// mapObject reaches through secrets and outputs, one of which always wraps a connection.
func mapObject(value resource.PropertyValue, change func(resource.PropertyMap) resource.PropertyMap) resource.PropertyValue {
	switch {
	case value.IsSecret():
		return resource.MakeSecret(mapObject(value.SecretValue().Element, change))
	case value.IsOutput():
		output := value.OutputValue()
		output.Element = mapObject(output.Element, change)
		return resource.NewOutputProperty(output)
	case value.IsObject():
		return resource.NewObjectProperty(change(value.ObjectValue()))
	default:
		return value
	}
}
