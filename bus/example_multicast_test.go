package bus_test

import (
	"context"
	"fmt"

	"github.com/busnode/busnode/bus"
)

// Multicast needs a key; without one it is inert, and says so.
func ExampleBus_Multicast() {
	b, err := bus.Open(context.Background(), bus.WithListen("/ip4/127.0.0.1/tcp/0"), bus.WithoutMDNS())
	check(err)
	defer func() { check(b.Close()) }()
	m := b.Multicast()
	fmt.Println(m.Mode, m.Key, m.Inert)
	// Output:
	// fallback none no-key
}

// A network of its own, whose key seals multicast too: the short cut, on one interface.
func ExampleWithMulticast() {
	b, err := bus.Open(context.Background(),
		bus.WithListen("/ip4/127.0.0.1/tcp/0"), bus.WithoutMDNS(),
		bus.WithNetwork("greenhouse"), bus.WithNetworkKey(make([]byte, 32)), // see bus.LoadNetworkKey
		bus.WithMulticast(bus.MulticastAlways, bus.MulticastInterfaces("eth-of-the-greenhouse")))
	check(err)
	defer func() { check(b.Close()) }()
	m := b.Multicast()
	fmt.Println(m.Mode, m.Key, m.Inert)
	// Output:
	// always network no-interface
}

// Peers that list each other agree on a key when they meet. The list can change.
func ExampleWithAllowedPeers() {
	const kitchen = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp"
	b, err := bus.Open(context.Background(),
		bus.WithListen("/ip4/127.0.0.1/tcp/0"), bus.WithoutMDNS(), bus.WithAllowedPeers(kitchen))
	check(err)
	defer func() { check(b.Close()) }()
	m := b.Multicast()
	fmt.Println(m.Key, m.Allowed, m.Inert)
	check(b.Allow(kitchen, "12D3KooWHdiAxVd8uMQR1hGWXccidmfCwLqcMpGwR6QcTP6QRMuD"))
	fmt.Println(b.Multicast().Allowed)
	// Output:
	// allow-list 1 not-agreed
	// 2
}
