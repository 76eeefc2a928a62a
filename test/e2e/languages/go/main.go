package main

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/config"
	"github.com/socket-bypass/socket-bypass/sdk/go/socketbypass"
)

func main() {
	pulumi.Run(func(ctx *pulumi.Context) error {
		settings := config.New(ctx, "")
		ports := []int{6379}
		if err := settings.GetObject("ports", &ports); err != nil {
			return err
		}
		edge, err := socketbypass.NewSocketBypass(ctx, "edge", &socketbypass.SocketBypassArgs{
			Hosts: map[string]socketbypass.HostArgs{"here": {
				Local:    pulumi.BoolRef(true),
				StateDir: pulumi.String(or(settings.Get("stateDir"), "/var/lib/socket-bypass")),
			}},
			Cgroup:  pulumi.String(or(settings.Get("cgroup"), "/")),
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
