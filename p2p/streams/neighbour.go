package streams

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/wire"
)

const (
	openBackoffMin = 100 * time.Millisecond
	openBackoffMax = 5 * time.Second
	asksMax        = 4 // of a peer that is not known to speak our protocol
)

// Reasons of a LinkDown, which callers test with [errors.Is].
var (
	// ErrSilent says that nothing came from the peer for SilenceMax.
	ErrSilent = errors.New("streams: peer is silent")
	// ErrDisconnected says that this side dropped the peer.
	ErrDisconnected = errors.New("streams: disconnected")

	errPath     = errors.New("streams: a direct connection appeared")
	errReopened = errors.New("streams: the peer opened its streams anew")
	errOneWay   = errors.New("streams: the peer opens no stream to us")
)

// inbound is a stream whose opener has proven itself.
type inbound struct {
	lane   carrier.Lane
	stream network.Stream
}

// neighbour is a peer that speaks our protocol, or may. Its goroutine brings the link
// up whenever it can be up.
type neighbour struct {
	c         *Carrier
	id        peer.ID
	wake      chan struct{} // something of what run waits for has changed
	link      atomic.Pointer[link]
	roundTrip atomic.Int64 // nanoseconds
	resting   atomic.Bool  // one side has too many: no stream is opened on this connection
	wanted    atomic.Bool  // it was dialled on a connection that the other side opened

	mu sync.Mutex // guards in
	in [carrier.Lanes]network.Stream
}

func newNeighbour(c *Carrier, p peer.ID) *neighbour {
	return &neighbour{c: c, id: p, wake: make(chan struct{}, 1)}
}

// offer takes a proven stream. The peer opens one stream a lane for each link,
// so one more says that it has begun a new link.
func (n *neighbour) offer(in *inbound) {
	n.mu.Lock()
	old := n.in[in.lane]
	n.in[in.lane] = in.stream
	n.mu.Unlock()
	if in.lane == carrier.News { // that for repair may come late, and be of a link that is to end
		n.resting.Store(false)
	}
	if old != nil {
		n.c.abandon(old)
	}
	if l := n.link.Load(); l != nil {
		l.offered(in.lane)
	}
	signal(n.wake)
}

// take returns the lane's proven stream, or nil, and forgets it.
func (n *neighbour) take(lane carrier.Lane) network.Stream {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := n.in[lane]
	n.in[lane] = nil
	return s
}

func (n *neighbour) offered() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.in[carrier.News] != nil
}

// run lives as long as the peer is connected.
func (n *neighbour) run() {
	ctx := n.c.ctx
	backoff := openBackoffMin
	asks := 0
	for ctx.Err() == nil {
		if n.c.cfg.Host.Network().Connectedness(n.id) == network.NotConnected {
			n.drop()
			if n.c.forget(n) {
				// A connection that came after the question found n here, and nobody
				// to wake.
				n.c.consider(n.id)
				return
			}
		}
		if wait := n.c.refusedFor(n.id); wait > 0 {
			n.drop()
			n.wait(wait)
			continue
		}
		if !n.offered() && (n.resting.Load() || !n.c.dialled(n.id) && !n.wanted.Load()) {
			n.wait(0)
			continue
		}
		began := time.Now()
		err := n.tryLink(ctx)
		if time.Since(began) > 2*openBackoffMax {
			backoff = openBackoffMin
		}
		if errors.Is(err, errPath) || errors.Is(err, errReopened) || ctx.Err() != nil {
			continue
		}
		n.c.log.Debug("no link", "peer", n.id, "err", err)
		if n.c.speaks(n.id) {
			asks = 0
		} else if asks++; asks >= asksMax && n.c.forget(n) {
			n.c.consider(n.id) // as above
			return
		}
		n.wait(backoff/2 + rand.N(backoff))
		backoff = min(2*backoff, openBackoffMax)
	}
	n.drop()
	n.c.forget(n)
}

// wait returns after d (0: never), at a wake or at the carrier's end.
func (n *neighbour) wait(d time.Duration) {
	var timer <-chan time.Time
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-n.wake:
	case <-timer:
	case <-n.c.ctx.Done():
	}
}

// drop resets the streams that no link has taken.
func (n *neighbour) drop() {
	for lane := range carrier.Lane(carrier.Lanes) {
		if s := n.take(lane); s != nil {
			n.c.abandon(s)
		}
	}
}

// tryLink brings the link up and returns why it is down again.
func (n *neighbour) tryLink(ctx context.Context) error {
	out, err := n.open(ctx, carrier.News)
	if err != nil {
		return fmt.Errorf("open the stream for news: %w", err)
	}
	in := n.awaitNews(ctx)
	if in == nil {
		n.c.abandon(out)
		return errOneWay
	}
	if n.c.outdated(out.Conn()) {
		n.c.abandon(out)
		n.c.abandon(in)
		return errPath
	}
	return newLink(n, out, in).run(ctx)
}

// awaitNews returns the peer's stream for news, or nil if none comes in time.
func (n *neighbour) awaitNews(ctx context.Context) network.Stream {
	timeout := time.NewTimer(n.c.cfg.HandshakeMax)
	defer timeout.Stop()
	for {
		if s := n.take(carrier.News); s != nil {
			return s
		}
		select {
		case <-n.wake:
			if n.c.Refuses(n.id) || n.c.cfg.Host.Network().Connectedness(n.id) == network.NotConnected {
				return nil
			}
		case <-timeout.C:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// open opens a stream of our own and proves ourselves on it.
func (n *neighbour) open(ctx context.Context, lane carrier.Lane) (network.Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, n.c.cfg.HandshakeMax)
	defer cancel()
	streamCtx := network.WithNoDial(network.WithAllowLimitedConn(ctx, "busnode"), "busnode")
	s, err := n.c.cfg.Host.NewStream(streamCtx, n.id, protocols[lane])
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = s.Reset() }) // the handshake sees the reset
	h := handshake{
		secret: n.c.cfg.Secret, protocol: string(protocols[lane]), initiator: n.c.cfg.Host.ID(), responder: n.id,
	}
	_, err = h.initiate(metered{s, n.c})
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err == nil {
		n.c.refused.clear(n.id)
		return s, nil
	}
	n.c.abandon(s)
	switch {
	case errors.Is(err, ErrOtherNetwork), errors.Is(err, wire.ErrVersion), errors.Is(err, ErrHandshake):
		n.c.punish(n.id, err)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		n.c.closePeer(n.id) // the connection is as good as dead
	}
	return nil, err
}
