package streams

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/wire"
)

// The protocols, one a lane.
const (
	NewsID   protocol.ID = "/busnode/news/1"
	RepairID protocol.ID = "/busnode/repair/1"
)

var protocols = [carrier.Lanes]protocol.ID{carrier.News: NewsID, carrier.Repair: RepairID}

// ErrHostTaken says that another carrier runs on the host: a host serves each
// protocol once, so the second would silence the first.
var ErrHostTaken = errors.New("streams: the host has a carrier already")

// Config says what a carrier runs on. Host and Secret are required.
type Config struct {
	Host host.Host
	// OwnHost allows closing connections. Without it the carrier touches
	// nothing but its own streams.
	OwnHost bool
	// Secret is what both ends must know: derived from the network's name and key.
	Secret []byte
	// Admits says which peers to have links with; nil: all that prove themselves.
	// It is asked again whenever it matters, and must not block.
	Admits func(peer.ID) bool
	// Observer is told what happens; its functions may be nil.
	Observer Observer
	Logger   *slog.Logger // nil: slog.Default()

	// KeepaliveEvery is the time after which a side that sent no news shows
	// that it lives. 0: 1.5 s: more often costs more, and less often notices some
	// peers sooner than others, since silence counts from the last sign.
	KeepaliveEvery time.Duration
	// SilenceMax is the time after which a peer that shows nothing is given up.
	// 0: 4 s. At least two keepalives, or a busy machine takes links down.
	SilenceMax time.Duration
	// HandshakeMax bounds the opening of a stream, handshake included. 0: 10 s.
	HandshakeMax time.Duration
}

// Observer is told of links and refusals, in the order in which they happen to
// one peer. Its functions must not block nor call the carrier's Close.
type Observer struct {
	Started func()
	Up      func(carrier.Link, network.Conn)
	Down    func(peer.ID, error)
	// Avoid is called when a peer should not be connected to for minutes, unless
	// there is no other: one of the two has too many.
	Avoid func(peer.ID)
	// Refused is called when a handshake with the peer failed for a reason that
	// time does not heal, or the peer was disconnected.
	Refused func(peer.ID, error)
}

// Carrier moves frames over streams of a libp2p host. It implements [carrier.Carrier].
type Carrier struct {
	cfg     Config
	log     *slog.Logger
	born    time.Time       // origin of the monotonic times in links
	ctx     context.Context //nolint:containedctx // the carrier's own, ended by Close
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	handler carrier.Handler // constant after Start
	slots   slots
	refused refusals
	counter counters

	recordChanged chan struct{}
	recordMu      sync.Mutex // guards the field below
	record        ownRecord

	mu         sync.RWMutex // guards the fields below
	started    bool
	closed     bool
	neighbours map[peer.ID]*neighbour
	stop       func() // undoes what Start did to the host
}

var _ carrier.Carrier = (*Carrier)(nil)

// New returns a carrier that does nothing before its Start.
func New(cfg Config) *Carrier {
	cfg.KeepaliveEvery = orDefault(cfg.KeepaliveEvery, 1500*time.Millisecond)
	cfg.SilenceMax = orDefault(cfg.SilenceMax, 4*time.Second)
	cfg.HandshakeMax = orDefault(cfg.HandshakeMax, 10*time.Second)
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Carrier{
		cfg: cfg, log: cfg.Logger.With("component", "streams"), born: time.Now(),
		ctx: ctx, cancel: cancel, neighbours: make(map[peer.ID]*neighbour),
		recordChanged: make(chan struct{}, 1),
	}
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d <= 0 {
		return otherwise
	}
	return d
}

// Traits implements [carrier.Carrier].
func (c *Carrier) Traits() carrier.Traits {
	return carrier.Traits{Name: "streams", Reliable: true, MTU: wire.FrameMaxBytes}
}

// Start implements [carrier.Carrier]: it adds the stream handlers to the host
// and looks at the peers that are connected already.
func (c *Carrier) Start(h carrier.Handler) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return carrier.ErrClosed
	}
	if c.started {
		return fmt.Errorf("streams: started already")
	}
	for _, id := range protocols {
		if slices.Contains(c.cfg.Host.Mux().Protocols(), id) {
			return fmt.Errorf("%w: it serves %s", ErrHostTaken, id)
		}
	}
	sub, err := c.cfg.Host.EventBus().Subscribe([]any{
		new(event.EvtPeerIdentificationCompleted), new(event.EvtPeerIdentificationFailed),
		new(event.EvtPeerProtocolsUpdated), new(event.EvtLocalAddressesUpdated),
	})
	if err != nil {
		return fmt.Errorf("streams: subscribe to the host's events: %w", err)
	}
	c.started, c.handler = true, h
	notifiee := &network.NotifyBundle{ConnectedF: c.connected, DisconnectedF: c.disconnected}
	c.cfg.Host.Network().Notify(notifiee)
	for lane, id := range protocols {
		c.cfg.Host.SetStreamHandler(id, func(s network.Stream) { c.accept(carrier.Lane(lane), s) })
	}
	c.stop = func() {
		for _, id := range protocols {
			c.cfg.Host.RemoveStreamHandler(id)
		}
		c.cfg.Host.Network().StopNotify(notifiee)
		_ = sub.Close() // a closed subscription has nothing to lose
	}
	c.wg.Go(func() { c.listen(sub) })
	c.wg.Go(c.watch)
	c.wg.Go(func() {
		for _, p := range c.cfg.Host.Network().Peers() {
			c.consider(p)
		}
	})
	if f := c.cfg.Observer.Started; f != nil {
		c.wg.Go(f)
	}
	return nil
}

// listen considers peers whose protocols became known, or will not.
func (c *Carrier) listen(sub event.Subscription) {
	for e := range sub.Out() {
		switch e := e.(type) {
		case event.EvtLocalAddressesUpdated:
			c.addrsChanged()
		case event.EvtPeerIdentificationCompleted:
			c.consider(e.Peer)
		case event.EvtPeerProtocolsUpdated:
			c.consider(e.Peer)
		case event.EvtPeerIdentificationFailed:
			// libp2p does not try again as long as the connection lives, so what
			// the peer speaks is found out by asking.
			if c.dialled(e.Peer) && c.admits(e.Peer) {
				c.adopt(e.Peer, nil)
			}
		}
	}
}

// connected moves a link from a relayed to a direct connection.
func (c *Carrier) connected(_ network.Network, conn network.Conn) {
	n := c.neighbour(conn.RemotePeer())
	if n == nil {
		return
	}
	if l := n.link.Load(); l != nil && c.outdated(l.conn) {
		l.fail(errPath)
	}
	signal(n.wake)
}

// outdated reports whether the connection is relayed although there is a direct one.
func (c *Carrier) outdated(conn network.Conn) bool {
	return pathOf(conn) == carrier.PathRelayed &&
		slices.ContainsFunc(c.cfg.Host.Network().ConnsToPeer(conn.RemotePeer()), func(other network.Conn) bool {
			return pathOf(other) != carrier.PathRelayed && !other.IsClosed()
		})
}

func (c *Carrier) disconnected(_ network.Network, conn network.Conn) {
	if n := c.neighbour(conn.RemotePeer()); n != nil {
		signal(n.wake)
	}
}

func (c *Carrier) neighbour(p peer.ID) *neighbour {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.neighbours[p]
}

// consider starts to take care of a peer that speaks our protocol and that we
// dialled, or reminds its goroutine of it.
func (c *Carrier) consider(p peer.ID) {
	if n := c.neighbour(p); n != nil {
		signal(n.wake)
		return
	}
	if c.speaks(p) && c.dialled(p) && c.admits(p) {
		c.adopt(p, nil)
	}
}

// speaks reports whether p is known to speak our protocol.
func (c *Carrier) speaks(p peer.ID) bool {
	known, err := c.cfg.Host.Peerstore().SupportsProtocols(p, NewsID)
	return err == nil && len(known) > 0
}

// dialled reports whether a connection to p was opened by us.
func (c *Carrier) dialled(p peer.ID) bool {
	for _, conn := range c.cfg.Host.Network().ConnsToPeer(p) {
		if conn.Stat().Direction == network.DirOutbound {
			return true
		}
	}
	return false
}

// adopt makes p a neighbour if it is none, and gives it the inbound stream if
// that is not nil. It reports whether the carrier is open.
func (c *Carrier) adopt(p peer.ID, in *inbound) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	n := c.neighbours[p]
	if n == nil {
		n = newNeighbour(c, p)
		c.neighbours[p] = n
		c.wg.Go(n.run)
	}
	if in != nil {
		n.offer(in)
	}
	return true
}

// forget ends the care for a peer unless a stream came in meanwhile.
func (c *Carrier) forget(n *neighbour) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n.offered() && !c.closed {
		return false
	}
	delete(c.neighbours, n.id)
	return true
}

// Send implements [carrier.Carrier].
func (c *Carrier) Send(ctx context.Context, to wire.PeerID, lane carrier.Lane, frame ...[]byte) error {
	length := 0
	for _, part := range frame {
		length += len(part)
	}
	if length > wire.FrameMaxBytes {
		return fmt.Errorf("%w: %d bytes", carrier.ErrTooLarge, length)
	}
	c.mu.RLock()
	n, closed := c.neighbours[peer.ID(to)], c.closed
	c.mu.RUnlock()
	if closed {
		return carrier.ErrClosed
	}
	if n == nil {
		return carrier.ErrNoLink
	}
	l := n.link.Load()
	if l == nil {
		return carrier.ErrNoLink
	}
	err := l.send(ctx, lane, length, frame)
	if err != nil && c.ctx.Err() != nil {
		return carrier.ErrClosed
	}
	return err
}

// RoundTrip implements [carrier.Carrier]. The measurement includes the time
// that a ping waits behind other frames.
func (c *Carrier) RoundTrip(p wire.PeerID) time.Duration {
	if n := c.neighbour(peer.ID(p)); n != nil {
		return time.Duration(n.roundTrip.Load())
	}
	return 0
}

// Disconnect implements [carrier.Carrier]: it takes the link down and refuses
// the peer for a minute. On an own host it closes the connection.
func (c *Carrier) Disconnect(p wire.PeerID, reason string) {
	err := fmt.Errorf("%w: %s", ErrDisconnected, reason)
	c.refused.add(peer.ID(p), refusedMax, err)
	c.tellRefused(peer.ID(p), err)
	if n := c.neighbour(peer.ID(p)); n != nil {
		if l := n.link.Load(); l != nil {
			l.fail(err)
		}
		signal(n.wake)
	}
	c.closePeer(peer.ID(p))
}

// Refuses reports whether the carrier has nothing to do with p for now.
func (c *Carrier) Refuses(p peer.ID) bool { return c.refusedFor(p) > 0 }

// refusedFor returns for how long p is refused as things stand: for one that is
// not admitted, until it is asked again.
func (c *Carrier) refusedFor(p peer.ID) time.Duration {
	if !c.admits(p) {
		return refusedMax
	}
	return c.refused.until(p)
}

func (c *Carrier) admits(p peer.ID) bool { return c.cfg.Admits == nil || c.cfg.Admits(p) }

// Readmit hears that [Config.Admits] may answer otherwise than before: it takes
// down the links of peers that are not admitted any more.
func (c *Carrier) Readmit() {
	c.mu.RLock()
	neighbours := slices.Collect(maps.Values(c.neighbours))
	c.mu.RUnlock()
	for _, n := range neighbours {
		if c.admits(n.id) {
			continue
		}
		if l := n.link.Load(); l != nil {
			l.fail(fmt.Errorf("%w: not on the allow-list", ErrDisconnected))
		}
		signal(n.wake)
		c.closePeer(n.id)
	}
	if c.ctx.Err() != nil {
		return
	}
	for _, p := range c.cfg.Host.Network().Peers() {
		c.consider(p)
	}
}

func (c *Carrier) tellRefused(p peer.ID, err error) {
	if f := c.cfg.Observer.Refused; f != nil {
		f(p, err)
	}
}

// closePeer closes p's connections if the host is ours. It does not wait:
// closing may take as long as a blocked write.
func (c *Carrier) closePeer(p peer.ID) {
	if !c.cfg.OwnHost {
		return
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	if !c.closed {
		c.wg.Go(func() { _ = c.cfg.Host.Network().ClosePeer(p) }) // an error leaves nothing to close
	}
}

// abandon ends a stream of ours at once. Resetting it may take as long as a
// blocked write of the connection's, so that happens aside.
func (c *Carrier) abandon(s network.Stream) {
	_ = s.SetDeadline(time.Unix(1, 0)) // fails if the stream has ended, which serves as well
	c.wg.Go(func() { _ = s.Reset() })  // likewise
}

// Close implements [carrier.Carrier]. It waits for the handler's calls to
// return, so it must not be called from one.
func (c *Carrier) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		c.wg.Wait()
		return nil
	}
	c.closed = true
	stop := c.stop
	c.mu.Unlock()
	if stop != nil {
		stop()
	}
	c.cancel()
	c.wg.Wait()
	return nil
}
