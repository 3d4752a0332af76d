package multicast

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/wire"
	"github.com/busnode/busnode/p2p/multicast/datagram"
	"github.com/busnode/busnode/p2p/multicast/segment"
	"github.com/busnode/busnode/p2p/multicast/socket"
)

// refusedFor is how long a peer that was disconnected is not heard.
const refusedFor = time.Minute

// Carrier moves frames by multicast. It implements [carrier.Carrier] and
// [carrier.Segmented]. Its links are segments, named "segment:eth0".
type Carrier struct {
	cfg     Config
	self    wire.PeerID
	group   socket.Group
	machine machine
	log     *slog.Logger
	born    time.Time       // origin of the engines' time
	ctx     context.Context //nolint:containedctx // the carrier's own, ended by Close
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	handler carrier.Handler // constant after Start
	changed chan struct{}   // capacity 1: look at the interfaces again

	// refused are peers that were disconnected, and until when. The map is replaced, never changed.
	refused atomic.Pointer[map[wire.PeerID]time.Time]

	mu       sync.RWMutex // guards the fields below
	started  bool
	closed   bool
	said     said
	stations []*station // those with a quicker kind of interface first
	leaving  *station   // is being closed
	gone     Counters   // of those that were closed
	scanErr  error      // of the newest look at the interfaces
}

// said is what the engines are to say and open.
type said struct {
	text  []byte
	addrs [][]byte
	roots []datagram.Root
}

var (
	_ carrier.Carrier   = (*Carrier)(nil)
	_ carrier.Segmented = (*Carrier)(nil)
)

// New returns a carrier that does nothing before its Start. The error wraps ErrConfig.
func New(cfg Config) (*Carrier, error) { return newCarrier(cfg, system{}) }

func newCarrier(cfg Config, m machine) (*Carrier, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &Carrier{
		cfg: cfg, self: wire.Author(cfg.Key.Public().(ed25519.PublicKey)).PeerID(), group: cfg.group(),
		machine: m, log: cfg.Logger.With("component", "multicast"), born: time.Now(),
		ctx: ctx, cancel: cancel, changed: make(chan struct{}, 1),
		said: said{addrs: binaryAddrs(cfg.Addrs), roots: cfg.roots()},
	}
	return c, nil
}

// binaryAddrs returns addresses as beacons carry them.
func binaryAddrs(addrs []ma.Multiaddr) [][]byte {
	var all [][]byte
	for _, a := range addrs {
		all = append(all, a.Bytes())
	}
	return all
}

// Self returns the name under which this node's frames arrive.
func (c *Carrier) Self() wire.PeerID { return c.self }

// Traits implements [carrier.Carrier].
func (c *Carrier) Traits() carrier.Traits {
	return carrier.Traits{Name: "multicast", Many: true, MTU: segment.FrameMaxBytes}
}

// Start implements [carrier.Carrier]. Links come up as interfaces are found; a
// machine without any is no error.
func (c *Carrier) Start(h carrier.Handler) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return carrier.ErrClosed
	}
	if c.started {
		return errors.New("multicast: started already")
	}
	c.started, c.handler = true, h
	c.wg.Go(c.keepStations)
	return nil
}

// Send implements [carrier.Carrier]. It waits while the segment's queue is
// full. A frame to a member that leaves meanwhile is lost.
func (c *Carrier) Send(ctx context.Context, to wire.PeerID, lane carrier.Lane, frame ...[]byte) error {
	length := 0
	for _, part := range frame {
		length += len(part)
	}
	if length > segment.FrameMaxBytes || length == 0 {
		return fmt.Errorf("%w: %d bytes, want 1 to %d", carrier.ErrTooLarge, length, segment.FrameMaxBytes)
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	s, member, err := c.stationFor(to)
	if err != nil {
		return err
	}
	if err := s.send(ctx, member, lane, length, frame); err != nil {
		if c.ctx.Err() != nil {
			return carrier.ErrClosed
		}
		return err
	}
	return nil
}

// stationFor returns the station that a link's or a member's name leads to, and
// the member, or nobody for all.
func (c *Carrier) stationFor(to wire.PeerID) (*station, wire.PeerID, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed || !c.started {
		return nil, "", carrier.ErrClosed
	}
	for _, s := range c.stations {
		if s.name == to && s.up.Load() {
			return s, "", nil
		}
	}
	for _, s := range c.stations {
		if s.hears(to) {
			return s, to, nil
		}
	}
	return nil, "", carrier.ErrNoLink
}

// RoundTrip implements [carrier.Carrier]: nothing is measured.
func (c *Carrier) RoundTrip(wire.PeerID) time.Duration { return 0 }

// Disconnect implements [carrier.Carrier]: the peer is no member for a minute.
func (c *Carrier) Disconnect(p wire.PeerID, reason string) {
	c.log.Info("peer refused", "peer", p.String(), "reason", reason)
	c.changeRefused(func(m map[wire.PeerID]time.Time) { m[p] = time.Now().Add(refusedFor) })
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed {
		return
	}
	c.wg.Go(func() {
		select {
		case <-time.After(refusedFor):
			c.changeRefused(func(m map[wire.PeerID]time.Time) {
				if !m[p].After(time.Now()) {
					delete(m, p)
				}
			})
		case <-c.ctx.Done():
		}
	})
}

func (c *Carrier) changeRefused(f func(map[wire.PeerID]time.Time)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := make(map[wire.PeerID]time.Time)
	if old := c.refused.Load(); old != nil {
		for p, until := range *old {
			m[p] = until
		}
	}
	f(m)
	c.refused.Store(&m)
	for _, s := range c.stations {
		signal(s.wake)
	}
}

// Readmit hears that [Config.Admit] may answer otherwise than before: members that are
// not admitted any more go down, and those that are now are heard.
func (c *Carrier) Readmit() { c.say(func(*said) {}) }

// refuses reports whether a peer is not to be heard.
func (c *Carrier) refuses(p wire.PeerID) bool {
	if !c.admits(p) {
		return true
	}
	m := c.refused.Load()
	if m == nil || len(*m) == 0 {
		return false
	}
	_, refused := (*m)[p]
	return refused
}

// admits reports whether a peer may be a member of a segment.
func (c *Carrier) admits(p wire.PeerID) bool { return c.cfg.Admit == nil || c.cfg.Admit(p) }

// Announce implements [carrier.Segmented].
func (c *Carrier) Announce(text []byte) {
	if len(text) > carrier.AnnounceMaxBytes {
		panic(fmt.Sprintf("multicast: announcement of %d bytes, at most %d", len(text), carrier.AnnounceMaxBytes))
	}
	c.say(func(s *said) { s.text = slices.Clone(text) })
}

// SetAddrs sets where this node listens for streams, which its beacons tell.
func (c *Carrier) SetAddrs(addrs []ma.Multiaddr) {
	c.say(func(s *said) { s.addrs = binaryAddrs(addrs) })
}

// SetRoots sets the group's keys: the first seals, all open. With none the
// carrier goes inert. At most datagram.RootsMax; the error wraps ErrConfig.
func (c *Carrier) SetRoots(roots ...datagram.Root) error {
	if len(roots) > datagram.RootsMax {
		return fmt.Errorf("%w: %d group keys, at most %d", ErrConfig, len(roots), datagram.RootsMax)
	}
	c.say(func(s *said) { s.roots = slices.Clone(roots) })
	signal(c.changed)
	return nil
}

// say changes what the engines say and open, and lets them know.
func (c *Carrier) say(change func(*said)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.said)
	for _, s := range c.stations {
		signal(s.wake)
	}
}

func (c *Carrier) saying() said {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.said
}

// Members implements [carrier.Segmented].
func (c *Carrier) Members() []carrier.Member {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var all []carrier.Member
	for _, s := range c.stations {
		all = append(all, s.heard()...)
	}
	slices.SortStableFunc(all, func(a, b carrier.Member) int {
		if a.Segment != b.Segment {
			return cmpPeer(a.Segment, b.Segment)
		}
		return cmpPeer(a.Peer, b.Peer)
	})
	return all
}

// Close implements [carrier.Carrier]. It says goodbye on each segment, and waits
// for the handler's calls to return, so it must not be called from one.
func (c *Carrier) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	c.wg.Wait()
	return nil
}

// now returns the engines' time.
func (c *Carrier) now() segment.Time { return segment.Time(time.Since(c.born)) }

// signal wakes the one that waits on ch, now or when it comes to wait.
func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
