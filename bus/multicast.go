package bus

import (
	"errors"
	"fmt"
	"slices"

	"github.com/busnode/busnode/gossip"
)

// MulticastMode says when events also go by multicast, to all nodes of the
// network that are on the same wire. See docs/multicast.md.
type MulticastMode uint8

// The modes.
const (
	// MulticastFallback uses multicast where streams fail: when a node nearby has
	// not acknowledged an event for a second and a half, or is reached by no stream.
	MulticastFallback MulticastMode = iota
	// MulticastAlways sends events by multicast first, and by streams to those
	// whom that does not reach: the short cut where many nodes share one wire.
	MulticastAlways
	// MulticastOff neither sends nor listens.
	MulticastOff
)

var multicastModes = []string{MulticastFallback: "fallback", MulticastAlways: "always", MulticastOff: "off"}

// String returns the mode's name: "fallback", "always" or "off".
func (m MulticastMode) String() string {
	if int(m) >= len(multicastModes) {
		return fmt.Sprintf("MulticastMode(%d)", uint8(m))
	}
	return multicastModes[m]
}

// ParseMulticastMode is the opposite of [MulticastMode.String]. The error wraps [ErrConfig].
func ParseMulticastMode(name string) (MulticastMode, error) {
	i := slices.Index(multicastModes, name)
	if i < 0 {
		return 0, configError("multicast mode %q: want off, fallback or always", name)
	}
	return MulticastMode(i), nil
}

// gossip returns what the core calls the mode.
func (m MulticastMode) gossip() gossip.Multicast {
	switch m {
	case MulticastAlways:
		return gossip.MulticastAlways
	case MulticastOff:
		return gossip.MulticastOff
	default:
		return gossip.MulticastFallback
	}
}

// settleMode makes the mode that WithMulticast set, or else that of WithGossip's
// configuration, the one of both.
func (o *options) settleMode() {
	if o.multicast.given {
		o.gossip.Multicast = o.multicast.mode.gossip()
		return
	}
	for mode := range multicastModes {
		if m := MulticastMode(mode); m.gossip() == o.gossip.Multicast {
			o.multicast.mode = m
		}
	}
}

type multicastOptions struct {
	given      bool
	mode       MulticastMode
	interfaces []string
	open       bool
}

// MulticastOption is an option of [WithMulticast].
type MulticastOption func(*multicastOptions) error

// WithMulticast sets when events go by multicast; the default is
// [MulticastFallback], on all interfaces that suit. Multicast needs a key:
// the one of [WithNetworkKey], or one that the peers of [WithAllowedPeers]
// agree on, or [MulticastOpen]. Without any it is inert, and [Bus.Multicast] says so.
func WithMulticast(mode MulticastMode, opts ...MulticastOption) Option {
	return func(o *options) error {
		var errs []error
		if mode > MulticastOff {
			errs = append(errs, configError("WithMulticast: unknown mode %d", mode))
		}
		o.multicast.given, o.multicast.mode = true, mode
		for _, opt := range opts {
			errs = append(errs, opt(&o.multicast))
		}
		return errors.Join(errs...)
	}
}

// MulticastInterfaces uses these network interfaces alone, virtual ones
// included. The default is those that suit: that are up, can multicast, and are
// neither loopback nor point-to-point nor a container's or virtual machine's. One
// that is not there is waited for.
func MulticastInterfaces(names ...string) MulticastOption {
	return func(m *multicastOptions) error {
		if len(names) == 0 || slices.Contains(names, "") {
			return configError("MulticastInterfaces: no interface, or one without a name")
		}
		m.interfaces = append(m.interfaces, names...)
		return nil
	}
}

// MulticastOpen lets a network without a key use multicast under a key that is
// made of its name. Events are signed all the same, so nobody can publish in another's
// name; but everybody on the wire who knows or guesses the name can read along, and
// be heard.
func MulticastOpen() MulticastOption {
	return func(m *multicastOptions) error {
		m.open = true
		return nil
	}
}
