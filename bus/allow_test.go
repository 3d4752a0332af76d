package bus_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/busnode/busnode/bus"
	"github.com/busnode/busnode/bus/bustest"
	"github.com/busnode/busnode/gossip/wire"
)

// newIdentity returns a key and the ID of the node that has it.
func newIdentity(t *testing.T) (ed25519.PrivateKey, bus.PeerID) {
	t.Helper()
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return key, bus.PeerID(wire.Author(public).PeerID().String())
}

// until waits for what holds.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(hop); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in %v: %s", hop, what)
		}
	}
}

// streamPeers counts the peers that streams reach.
func streamPeers(b *bus.Bus) (n int) {
	for _, p := range b.Peers() {
		if strings.HasPrefix(p.Path, "direct") {
			n++
		}
	}
	return n
}

func TestOnlyAllowedPeersAreDealtWith(t *testing.T) {
	keyA, a := newIdentity(t)
	keyB, b := newIdentity(t)
	_, c := newIdentity(t)
	network := bus.WithNetwork("allowed")
	first := openReal(t, network, bus.WithIdentity(keyA), bus.WithAllowedPeers(a, b))
	second := openReal(t, network, bus.WithIdentity(keyB), bus.WithAllowedPeers(a, b), bus.WithPeers(addrOf(t, first)))
	stranger := openReal(t, network)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := stranger.Connect(ctx, addrOf(t, first)); err == nil {
		t.Error("a node that is not on the list was let in")
	}
	until(t, "a link of the two", func() bool { return streamPeers(first) == 1 && streamPeers(second) == 1 })

	sub := bustest.Subscribe(t, textTopic(t, second), bus.FromStart())
	bustest.Publish(t, textTopic(t, first), "among us")
	expectValues(t, sub, []string{"among us"})

	if err := first.Allow(stranger.ID(), c); err != nil {
		t.Fatal(err)
	}
	until(t, "the end of the link", func() bool { return streamPeers(second) == 0 })
	until(t, "a link with who is listed now", func() bool { return streamPeers(stranger) == 1 })

	// A list that is refused changes nothing.
	if err := first.Allow(slices.Repeat([]bus.PeerID{a}, 4097)...); !errors.Is(err, bus.ErrConfig) {
		t.Errorf("a list of 4,097: %v", err)
	}
	if err := first.Connect(t.Context(), addrOf(t, second)); err == nil || streamPeers(stranger) != 1 {
		t.Errorf("%v, %d links: the list was taken", err, streamPeers(stranger))
	}
}

func TestAllowedPeersAgreeOnAKeyForMulticast(t *testing.T) {
	keyA, a := newIdentity(t)
	keyB, b := newIdentity(t)
	dir := t.TempDir()
	network := bus.WithNetwork("agreed")
	opts := []bus.Option{network, bus.WithIdentity(keyA), bus.WithAllowedPeers(a, b), bus.WithDataDir(dir)}
	first := openReal(t, opts...)
	if m := first.Multicast(); m.Key != bus.MulticastKeyAgreed || m.Inert != bus.MulticastNoneShares || m.Allowed != 1 {
		t.Errorf("alone: %+v", m)
	}
	second := openReal(t, network, bus.WithIdentity(keyB), bus.WithAllowedPeers(a, b), bus.WithPeers(addrOf(t, first)))
	until(t, "an agreement", func() bool {
		x, y := first.Multicast(), second.Multicast()
		return len(x.Sharing) == 1 && x.Sharing[0] == b && len(y.Sharing) == 1 &&
			x.Inert != bus.MulticastNoneShares && y.Inert != bus.MulticastNoneShares
	})
	if err := errors.Join(first.Close(), second.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "group-key")); err != nil {
		t.Error(err)
	}
	again := openReal(t, opts...)
	if m := again.Multicast(); m.Inert == bus.MulticastNoneShares {
		t.Errorf("after a restart without anybody: %+v", m)
	}
}

func TestMulticastSaysWhyItIsInert(t *testing.T) {
	_, a := newIdentity(t)
	for name, c := range map[string]struct {
		opts  []bus.Option
		key   bus.MulticastKey
		inert bus.MulticastInert
	}{
		"no key":             {nil, bus.MulticastKeyNone, bus.MulticastNoKey},
		"off":                {[]bus.Option{bus.WithMulticast(bus.MulticastOff)}, bus.MulticastKeyNone, bus.MulticastIsOff},
		"nobody agreed with": {[]bus.Option{bus.WithAllowedPeers(a)}, bus.MulticastKeyAgreed, bus.MulticastNoneShares},
		"no such interface": {
			[]bus.Option{bus.WithNetworkKey(make([]byte, 32)), bus.WithMulticast(0, bus.MulticastInterfaces("none9"))},
			bus.MulticastKeyNetwork, bus.MulticastNoInterface,
		},
		"no such interface, open": {
			[]bus.Option{bus.WithMulticast(bus.MulticastAlways, bus.MulticastOpen(), bus.MulticastInterfaces("none9"))},
			bus.MulticastKeyOpen, bus.MulticastNoInterface,
		},
	} {
		m := openReal(t, append(c.opts, bus.WithNetwork("inert"))...).Multicast()
		if m.Key != c.key || m.Inert != c.inert || len(m.Segments) != 0 {
			t.Errorf("%s: %+v", name, m)
		}
	}
}

func TestOptionsOfMulticastThatDoNotGoTogether(t *testing.T) {
	_, a := newIdentity(t)
	key, b := newIdentity(t)
	other := openReal(t, bus.WithNetwork("other"), bus.WithIdentity(key))
	for name, opts := range map[string][]bus.Option{
		"MulticastOpen and WithNetworkKey": {
			bus.WithMulticast(bus.MulticastFallback, bus.MulticastOpen()), bus.WithNetworkKey(make([]byte, 32)),
		},
		"is not among WithAllowedPeers": {bus.WithAllowedPeers(a), bus.WithPeers(addrOf(t, other))},
	} {
		_, err := bus.Open(t.Context(), opts...)
		if !errors.Is(err, bus.ErrConfig) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := other.Allow(b); !errors.Is(err, bus.ErrConfig) {
		t.Errorf("Allow without a list: %v", err)
	}
}

func TestMulticastModesHaveNames(t *testing.T) {
	for mode, name := range map[bus.MulticastMode]string{
		bus.MulticastOff: "off", bus.MulticastFallback: "fallback", bus.MulticastAlways: "always",
	} {
		if got, err := bus.ParseMulticastMode(name); got != mode || err != nil || mode.String() != name {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if _, err := bus.ParseMulticastMode("sometimes"); !errors.Is(err, bus.ErrConfig) {
		t.Errorf("got %v", err)
	}
}
