package bus

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/busnode/busnode/gossip/wire"
)

// WithAllowedPeers makes the node deal with these peers alone: it has no
// connection (on a host of its program's: no stream) and no multicast with others, and they
// have none with it. Both sides have to list each other; this node's own ID may be
// among them, so that all nodes can have one list. In a network without a key the
// listed peers also agree on a key for multicast, which the data directory
// keeps. Without any ID nobody is let in. [Bus.Allow] changes the list.
//
// It is about neighbours, not about authors: what a listed peer passes on is taken,
// whoever published it.
func WithAllowedPeers(peers ...PeerID) Option {
	return func(o *options) error {
		ids, err := wireIDs("WithAllowedPeers", peers)
		o.allowed = slices.Concat(o.allowed, ids)
		if o.allowed == nil {
			o.allowed = []wire.PeerID{} // nobody, where nil is everybody
		}
		return err
	}
}

// wireIDs returns the bytes of IDs: a list, even of none.
func wireIDs(of string, peers []PeerID) ([]wire.PeerID, error) {
	var errs []error
	ids := make([]wire.PeerID, 0, len(peers))
	for _, p := range peers {
		id, err := p.wire()
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", of, err))
			continue
		}
		ids = append(ids, id)
	}
	return ids, errors.Join(errs...)
}

// peersAllowed finds peers to connect to that may not be connected to.
func (o *options) peersAllowed() (errs []error) {
	if o.allowed == nil {
		return nil
	}
	for _, addr := range o.peers {
		info, err := peer.AddrInfoFromString(addr)
		if err == nil && !slices.Contains(o.allowed, wire.PeerID(info.ID)) {
			errs = append(errs, configError("WithPeers: %s is not among WithAllowedPeers", addr))
		}
	}
	return errs
}

// allowList is the set of peers that a node deals with. Its methods are safe
// for concurrent use; a nil list admits everybody.
type allowList struct {
	peers atomic.Pointer[map[wire.PeerID]struct{}]
}

func newAllowList(ids []wire.PeerID) *allowList {
	if ids == nil {
		return nil
	}
	l := &allowList{}
	l.set(ids)
	return l
}

func (l *allowList) set(ids []wire.PeerID) {
	peers := make(map[wire.PeerID]struct{}, len(ids))
	for _, id := range ids {
		peers[id] = struct{}{}
	}
	l.peers.Store(&peers)
}

func (l *allowList) admits(p wire.PeerID) bool {
	_, ok := (*l.peers.Load())[p]
	return ok
}

// admission returns what asks the list; nil if there is none.
func (l *allowList) admission() func(wire.PeerID) bool {
	if l == nil {
		return nil
	}
	return l.admits
}

// Allow replaces the list of [WithAllowedPeers], without which the node must
// not have been opened. Links with peers that are not on it any more end, and
// where the listed peers agree on a key for multicast there will be a new one. The error
// wraps [ErrConfig] or [ErrClosed], or tells that the data directory does not take the new list, in
// which case the list holds all the same until the node ends.
func (b *Bus) Allow(peers ...PeerID) error {
	ids, err := wireIDs("allow", peers)
	switch {
	case err != nil:
		return err
	case b.isClosed():
		return ErrClosed
	case b.net.allowed == nil:
		return configError("allow: the node was opened without WithAllowedPeers")
	}
	if err := b.net.allow(ids); err != nil {
		return fmt.Errorf("bus: allow: %w", translate(err))
	}
	return nil
}
