package bus

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"

	"github.com/libp2p/go-libp2p/core/event"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/wire"
	"github.com/busnode/busnode/p2p"
	"github.com/busnode/busnode/p2p/multicast"
	"github.com/busnode/busnode/p2p/multicast/groupkey"
)

// groupKeyFile is where the key that listed peers agreed on is kept, in the data directory.
const groupKeyFile = "group-key"

// segments is the node's multicast: the carrier, where its key comes from, and
// what it has to do with streams: they tell it the node's addresses, it tells them whom
// it hears.
type segments struct {
	carrier  *multicast.Carrier
	host     *p2p.Host
	key      MulticastKey
	exchange *groupkey.Exchange // nil: the key is not agreed on
	tell     bool               // addresses are told and taken

	cancel  context.CancelFunc
	running sync.WaitGroup
}

// openSegments makes the node's multicast. What it returns is closed after the
// carrier, before the host.
func openSegments(o *options, host *p2p.Host, hears func(wire.PeerID) bool) (*segments, error) {
	s := &segments{host: host, key: keyOf(o), tell: !o.noMDNS}
	var err error
	s.carrier, err = multicast.New(multicast.Config{
		Key: host.PrivateKey(), Network: o.network, NetworkKey: o.networkKey, Open: o.multicast.open,
		Interfaces: o.multicast.interfaces, Admit: hears, Logger: o.logger,
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	if s.key == MulticastKeyAgreed {
		err = s.agree(ctx, o)
	}
	if err == nil && s.tell {
		err = s.tellAddrs(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// keyOf says where the group's key comes from.
func keyOf(o *options) MulticastKey {
	switch {
	case o.networkKey != nil:
		return MulticastKeyNetwork
	case o.multicast.open:
		return MulticastKeyOpen
	case o.allowed != nil:
		return MulticastKeyAgreed
	}
	return MulticastKeyNone
}

// agree has the carrier use the key that the listed peers agree on.
func (s *segments) agree(ctx context.Context, o *options) error {
	cfg := groupkey.Config{
		Host: s.host.Libp2p(), Network: o.network, Allowed: o.allowed, Logger: o.logger,
	}
	if o.dataDir != "" {
		cfg.File = filepath.Join(o.dataDir, groupKeyFile)
	}
	x, err := groupkey.New(cfg)
	if err != nil {
		return err
	}
	s.exchange = x
	if err := x.Start(); err != nil {
		return err
	}
	if err := s.carrier.SetRoots(x.Roots()...); err != nil {
		return err
	}
	s.running.Go(func() {
		for {
			select {
			case <-x.Changed():
				if err := s.carrier.SetRoots(x.Roots()...); err != nil {
					o.logger.Error("the agreed group key is not used", "err", err)
				}
			case <-ctx.Done():
				return
			}
		}
	})
	return nil
}

// tellAddrs keeps what beacons tell of the node's addresses up to date.
func (s *segments) tellAddrs(ctx context.Context) error {
	h := s.host.Libp2p()
	sub, err := h.EventBus().Subscribe(new(event.EvtLocalAddressesUpdated))
	if err != nil {
		return fmt.Errorf("subscribe to the host's events: %w", err)
	}
	s.carrier.SetAddrs(h.Addrs())
	s.running.Go(func() {
		defer func() { _ = sub.Close() }() // a closed subscription has nothing to lose
		for {
			select {
			case <-sub.Out():
				s.carrier.SetAddrs(h.Addrs())
			case <-ctx.Done():
				return
			}
		}
	})
	return nil
}

// forDriver returns the carrier, which the driver starts.
func (s *segments) forDriver() carrier.Carrier {
	if !s.tell {
		return s.carrier
	}
	return discovering{s.carrier, s.host}
}

// allow takes a new allow-list for the key.
func (s *segments) allow(peers []wire.PeerID) error {
	if s.exchange == nil {
		return nil
	}
	return s.exchange.Allow(peers)
}

// close ends everything. It is idempotent.
func (s *segments) close() error {
	s.cancel()
	if s.exchange != nil {
		s.exchange.Close()
	}
	s.running.Wait()
	return s.carrier.Close()
}

// discovering is the multicast carrier for the driver: whom it hears, streams are told.
type discovering struct {
	*multicast.Carrier
	host *p2p.Host
}

// Start implements [carrier.Carrier].
func (d discovering) Start(h carrier.Handler) error {
	return d.Carrier.Start(&listener{Handler: h, found: d.host.Heard, addrs: map[memberKey][]string{}})
}

// listener passes on what the carrier tells.
type listener struct {
	carrier.Handler
	found func(wire.PeerID, []string) // a peer, or other addresses of one

	mu    sync.Mutex // guards the field below
	addrs map[memberKey][]string
}

// memberKey names a member of a segment.
type memberKey struct{ segment, peer wire.PeerID }

// SegmentFrame implements [carrier.SegmentHandler].
func (l *listener) SegmentFrame(segment, from wire.PeerID, lane carrier.Lane, frame []byte) {
	if h, ok := l.Handler.(carrier.SegmentHandler); ok {
		h.SegmentFrame(segment, from, lane, frame)
		return
	}
	l.Frame(from, lane, frame)
}

// MemberUp implements [carrier.MemberHandler]. A member is dialled at once when it comes or
// tells other addresses. What else it tells is no reason to: where no stream can be had, dials
// would never become rarer.
func (l *listener) MemberUp(m carrier.Member) {
	k := memberKey{m.Segment, m.Peer}
	l.mu.Lock()
	before, known := l.addrs[k]
	l.addrs[k] = m.Addrs
	l.mu.Unlock()
	if !known || !slices.Equal(before, m.Addrs) {
		l.found(m.Peer, m.Addrs)
	}
	if h, ok := l.Handler.(carrier.MemberHandler); ok {
		h.MemberUp(m)
	}
}

// MemberDown implements [carrier.MemberHandler].
func (l *listener) MemberDown(m carrier.Member) {
	l.mu.Lock()
	delete(l.addrs, memberKey{m.Segment, m.Peer})
	l.mu.Unlock()
	if h, ok := l.Handler.(carrier.MemberHandler); ok {
		h.MemberDown(m)
	}
}
