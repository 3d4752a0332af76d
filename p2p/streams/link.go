package streams

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/wire"
)

// link is one link's time between LinkUp and LinkDown.
type link struct {
	n     *neighbour
	info  carrier.Link
	since time.Time
	conn  network.Conn // of our stream for news
	out   network.Stream
	in    network.Stream

	news    *writer
	repair  atomic.Pointer[writer]
	ready   chan struct{} // closed when repair is set
	adopt   chan struct{} // the peer's stream for repair was offered
	done    chan struct{} // closed by fail
	failing sync.Once
	reason  error // set before done is closed
	wg      sync.WaitGroup

	// Times are nanoseconds since the carrier's birth.
	heard   atomic.Int64  // when a byte last came, on any lane
	waiting atomic.Int64  // since when the reader of news waits for bytes; 0: it does not
	sent    atomic.Int64  // when a byte of news last went
	ping    atomic.Uint32 // token of the ping that is under way; 0: none
	pinged  atomic.Int64  // when the newest ping was sent
}

func newLink(n *neighbour, out, in network.Stream) *link {
	l := &link{
		n: n, conn: out.Conn(), out: out, in: in, info: linkInfo(n.id, out.Conn()),
		since: time.Now(), ready: make(chan struct{}), adopt: make(chan struct{}, 1), done: make(chan struct{}),
	}
	l.news = newWriter(out, l.done, l.fail, l.wroteNews)
	now := l.now()
	l.heard.Store(now)
	l.sent.Store(now)
	l.pinged.Store(now)
	return l
}

// run is the link's life. It returns the reason of its end.
func (l *link) run(ctx context.Context) error {
	c := l.n.c
	l.n.link.Store(l)
	if f := c.cfg.Observer.Up; f != nil {
		f(l.info, l.conn)
	}
	c.cfg.Host.ConnManager().Protect(l.n.id, "busnode")
	c.counter.linksUp.Add(1)
	c.handler.LinkUp(l.info)
	ctx, cancel := context.WithCancel(ctx)
	l.wg.Go(l.news.run)
	l.wg.Go(func() {
		_, err := l.read(carrier.News, l.in)
		l.fail(err)
	})
	l.wg.Go(func() { l.openRepair(ctx) })
	l.wg.Go(l.readRepair)
	l.sendPing()

	select {
	case <-l.done:
	case <-ctx.Done():
		l.fail(carrier.ErrClosed)
	}
	cancel()
	l.n.link.CompareAndSwap(l, nil)
	c.abandon(l.out)
	c.abandon(l.in)
	l.wg.Wait()
	c.cfg.Host.ConnManager().Unprotect(l.n.id, "busnode")
	c.counter.linksDown.Add(1)
	c.handler.LinkDown(l.info.Peer, l.reason)
	if f := c.cfg.Observer.Down; f != nil {
		f(l.n.id, l.reason)
	}
	return l.reason
}

// fail takes the link down; the first reason counts.
func (l *link) fail(reason error) {
	l.failing.Do(func() {
		l.reason = reason
		close(l.done)
	})
}

// offered hears that the peer opened a stream while the link is up.
func (l *link) offered(lane carrier.Lane) {
	if lane == carrier.News {
		l.fail(errReopened)
		return
	}
	signal(l.adopt)
}

// openRepair opens our stream for repair and writes to it.
func (l *link) openRepair(ctx context.Context) {
	backoff := openBackoffMin
	for {
		s, err := l.n.open(ctx, carrier.Repair)
		if err == nil {
			w := newWriter(s, l.done, l.fail, l.n.c.wrote)
			l.repair.Store(w)
			close(l.ready)
			l.wg.Go(func() {
				<-l.done
				l.n.c.abandon(s)
			})
			w.run()
			return
		}
		if l.n.c.Refuses(l.n.id) {
			l.fail(err)
			return
		}
		select {
		case <-time.After(backoff/2 + rand.N(backoff)):
		case <-l.done:
			return
		}
		backoff = min(2*backoff, openBackoffMax)
	}
}

// readRepair reads the peer's stream for repair when it comes. One that ends
// before any frame may be of an earlier link on the same connection, proven late:
// the peer's own is yet to come. If this was the peer's own, the peer's writer
// sees its end too.
func (l *link) readRepair() {
	for {
		if s := l.n.take(carrier.Repair); s != nil {
			if frames, err := l.readUntilDone(s); frames > 0 || !streamEnded(err) {
				l.fail(err)
				return
			}
			continue
		}
		select {
		case <-l.adopt:
		case <-l.done:
			return
		}
	}
}

// readUntilDone reads s until it ends, or the link, which resets it.
func (l *link) readUntilDone(s network.Stream) (frames int, err error) {
	over := make(chan struct{})
	defer close(over)
	l.wg.Go(func() {
		select {
		case <-l.done:
		case <-over:
		}
		l.n.c.abandon(s)
	})
	return l.read(carrier.Repair, s)
}

// streamEnded tells a stream that was closed or reset from one that carried
// what is none of ours.
func streamEnded(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, network.ErrReset)
}

// read hands the stream's frames to the handler until the stream or the link ends.
// It returns how many came, and why it ended.
func (l *link) read(lane carrier.Lane, s network.Stream) (frames int, err error) {
	r := newFrameReader(listener{s, l, lane}, wire.FrameMaxBytes)
	for ; ; frames++ {
		frame, control, err := r.next()
		if err != nil {
			return frames, fmt.Errorf("read: %w", err)
		}
		if l.ended() {
			return frames, carrier.ErrNoLink
		}
		if control {
			l.control(frame)
			continue
		}
		l.n.c.handler.Frame(l.info.Peer, lane, frame)
	}
}

// listener notes when bytes come, and since when they are waited for.
type listener struct {
	s    io.Reader
	l    *link
	lane carrier.Lane
}

// Read implements [io.Reader].
func (r listener) Read(b []byte) (int, error) {
	if r.lane == carrier.News {
		r.l.waiting.Store(r.l.now())
	}
	n, err := r.s.Read(b)
	r.l.heard.Store(r.l.now())
	if r.lane == carrier.News {
		r.l.waiting.Store(0)
	}
	return n, err
}

func (l *link) now() int64 { return int64(time.Since(l.n.c.born)) }

// silent reports whether nothing came for d while we were listening, which we
// are since attentive at most. A reader whose handler blocks hears nothing,
// which says nothing about the peer.
func (l *link) silent(d time.Duration, attentive int64) bool {
	since := l.waiting.Load()
	return since != 0 && l.now()-max(since, l.heard.Load(), attentive) >= int64(d)
}

// ended reports whether the link is being taken down.
func (l *link) ended() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

// wroteNews notes when the peer was last sent something.
func (l *link) wroteNews(bytes, control int) {
	if bytes > 0 {
		l.sent.Store(l.now())
	}
	l.n.c.wrote(bytes, control)
}

// sendPing starts to measure the round trip. The token is random, so that a
// peer cannot answer before it is asked.
func (l *link) sendPing() {
	token := rand.Uint32() | 1
	l.pinged.Store(l.now())
	l.ping.Store(token)
	l.news.sendControl(binary.BigEndian.AppendUint32([]byte{controlPing}, token)...)
}

// control answers pings and takes pongs. It never blocks: a reader that waited
// for its writer could wait for itself.
func (l *link) control(frame []byte) {
	if len(frame) != 1+tokenBytes {
		return
	}
	switch frame[0] {
	case controlPing:
		frame[0] = controlPong
		l.news.sendControl(frame...)
	case controlPong:
		token := binary.BigEndian.Uint32(frame[1:])
		if token != 0 && l.ping.CompareAndSwap(token, 0) {
			l.n.roundTrip.Store(max(1, l.now()-l.pinged.Load()))
		}
	}
}

// send sends a frame on a lane; it waits for the lane's stream.
func (l *link) send(ctx context.Context, lane carrier.Lane, length int, frame [][]byte) error {
	w := l.news
	if lane == carrier.Repair {
		if w = l.repair.Load(); w == nil {
			select {
			case <-l.ready:
				w = l.repair.Load()
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-l.done:
				return carrier.ErrNoLink
			}
		}
	}
	select {
	case <-l.done:
		return carrier.ErrNoLink
	default:
		return w.send(ctx, length, frame)
	}
}

func linkInfo(p peer.ID, conn network.Conn) carrier.Link {
	addr := conn.RemoteMultiaddr()
	info := carrier.Link{
		Peer: wire.PeerID(p), Path: pathOf(conn), Limited: conn.Stat().Limited, Addrs: []string{addr.String()},
	}
	if info.Path == carrier.PathRelayed {
		info.Relay, _ = addr.ValueForProtocol(ma.P_P2P) // the first one is the relay's
	}
	return info
}

func pathOf(conn network.Conn) carrier.Path {
	addr := conn.RemoteMultiaddr()
	switch {
	case hasProtocol(addr, ma.P_CIRCUIT):
		return carrier.PathRelayed
	case hasProtocol(addr, ma.P_QUIC_V1):
		return carrier.PathDirectQUIC
	default:
		return carrier.PathDirectTCP
	}
}

func hasProtocol(addr ma.Multiaddr, code int) bool {
	for _, c := range addr {
		if c.Protocol().Code == code {
			return true
		}
	}
	return false
}

// LinkStatus is a link that is up.
type LinkStatus struct {
	carrier.Link
	RoundTrip time.Duration // the newest measurement, or 0
	Up        time.Time     // since when
}

// Links returns the links that are up, in order of peer ID.
func (c *Carrier) Links() []LinkStatus {
	var all []LinkStatus
	for _, l := range c.appendLinks(nil) {
		all = append(all, LinkStatus{l.info, time.Duration(l.n.roundTrip.Load()), l.since})
	}
	slices.SortFunc(all, func(x, y LinkStatus) int { return cmp.Compare(x.Peer, y.Peer) })
	return all
}
