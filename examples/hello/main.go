// Hello runs two nodes in one program: one publishes, the other subscribes.
package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/busnode/busnode/bus"
)

func main() {
	ctx, listen := context.Background(), bus.WithListen("/ip4/127.0.0.1/tcp/0")
	alice := must(bus.Open(ctx, listen, bus.WithoutMDNS()))
	bob := must(bus.Open(ctx, listen, bus.WithoutMDNS(), bus.WithPeers(alice.Addrs()...)))
	heard := must(must(bus.TopicOf(bob, "hello", bus.Text{})).Events(ctx))
	id := must(must(bus.TopicOf(alice, "hello", bus.Text{})).Publish(ctx, "Hello, Bob!"))
	for ev, err := range heard {
		fmt.Printf("%s says %q; the ID is the one that Alice got: %v\n", ev.ID.Author, must(ev.Value, err), ev.ID == id)
		break
	}
	must(0, errors.Join(bob.Close(), alice.Close()))
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
