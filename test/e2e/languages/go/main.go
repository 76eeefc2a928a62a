package main

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/config"
	"github.com/socket-bypass/socket-bypass/sdk/go/socketbypass"
)

func main() {
	pulumi.Run(func(ctx *pulumi.Context) error {
		settings := config.New(ctx, "")
		ports := []any{6379}
		if err := settings.GetObject("ports", &ports); err != nil {
			return err
		}
		stateDir, cgroup := "/var/lib/socket-bypass", "/"
		if given := settings.Get("stateDir"); given != "" {
			stateDir = given
		}
		if given := settings.Get("cgroup"); given != "" {
			cgroup = given
		}
		edge, err := socketbypass.NewSocketBypass(ctx, "edge", &socketbypass.SocketBypassArgs{
			Hosts: map[string]socketbypass.HostArgs{"here": {
				Local:    pulumi.BoolRef(true),
				StateDir: pulumi.String(stateDir),
			}},
			Cgroup:  pulumi.String(cgroup),
			Traffic: &socketbypass.TrafficArgs{Ports: pulumi.ToArray(ports)},
		})
		if err != nil {
			return err
		}
		ctx.Export("generation", edge.Generation)
		ctx.Export("kernel", edge.Hosts.MapIndex(pulumi.String("here")).SelfTest().Kernel())
		return nil
	})
}
