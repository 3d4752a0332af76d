package main

import (
	"slices"
	"testing"

	"github.com/busnode/busnode/cmd/busnode/internal/api"
)

func TestWhatHoldsMulticastBackIsShown(t *testing.T) {
	text := func(s string) *string { return &s }
	for name, c := range map[string]struct {
		multicast api.Multicast
		want      []string
	}{
		"a silent interface": {
			api.Multicast{Mode: "fallback", Key: "network", Segments: []api.Segment{
				{Interface: "eth1", Sibling: text("eth0"), Reason: "eth0 of this node is on the same wire and speaks", SinceS: 5},
			}},
			[]string{
				"fallback, private to the network",
				"eth1: silent for 5s (eth0 of this node is on the same wire and speaks)",
			},
		},
		"interfaces that cannot be listed": {
			api.Multicast{Mode: "fallback", Key: "network", Inert: text("no-interface"), Error: text("too many files")},
			[]string{"fallback, but inert: no interface is known", "the interfaces cannot be listed: too many files"},
		},
		"none that suits": {
			api.Multicast{Mode: "fallback", Key: "network", Inert: text("no-interface")},
			[]string{"fallback, but inert: no interface suits; see busnode doctor"},
		},
	} {
		if got := multicastRows(&c.multicast); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
