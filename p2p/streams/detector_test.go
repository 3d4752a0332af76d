package streams_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/wire"
	"github.com/busnode/busnode/p2p/streams"
)

// handler queues what a carrier calls.
type handler struct {
	ups    chan carrier.Link
	downs  chan error
	frames chan []byte
	hold   chan struct{} // Frame waits until it is closed; nil: no waiting
}

func newHandler() *handler {
	return &handler{ups: make(chan carrier.Link, 128), downs: make(chan error, 128), frames: make(chan []byte, 4096)}
}

func (h *handler) LinkUp(l carrier.Link)                { h.ups <- l }
func (h *handler) LinkDown(_ wire.PeerID, reason error) { h.downs <- reason }
func (h *handler) Frame(_ wire.PeerID, _ carrier.Lane, frame []byte) {
	if h.hold != nil {
		<-h.hold
	}
	h.frames <- frame
}

func await[T any](t testing.TB, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("no %s in time", what)
		panic("unreachable")
	}
}

// startOn starts a carrier on the host.
func startOn(t testing.TB, cfg streams.Config) (*streams.Carrier, *handler) {
	t.Helper()
	if cfg.Secret == nil {
		cfg.Secret = []byte("secret")
	}
	c, h := streams.New(cfg), newHandler()
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	if err := c.Start(h); err != nil {
		t.Fatal(err)
	}
	return c, h
}

// proxy stands between a dialler and a host, and can fall silent.
type proxy struct {
	addr   ma.Multiaddr
	silent atomic.Bool
	bytes  atomic.Int64 // that it moved, both ways
}

// newProxy forwards to the host's first address.
func newProxy(t testing.TB, to host.Host) *proxy {
	t.Helper()
	network, target, err := manet.DialArgs(to.Addrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{}
	if network == "tcp4" {
		p.serveTCP(t, target)
		return p
	}
	p.serveUDP(t, target)
	return p
}

func (p *proxy) serveTCP(t testing.TB, target string) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.addr = ma.StringCast(fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", l.Addr().(*net.TCPAddr).Port))
	var wg sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for _, c := range conns {
			_ = c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	wg.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp4", target)
			if err != nil {
				_ = in.Close()
				continue
			}
			mu.Lock()
			conns = append(conns, in, out)
			mu.Unlock()
			wg.Go(func() { p.pump(in, out) })
			wg.Go(func() { p.pump(out, in) })
		}
	})
}

// pump copies until either end closes. Silent, it swallows everything, also
// the news of an end: as a cut cable does.
func (p *proxy) pump(from, to net.Conn) {
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		p.bytes.Add(int64(n))
		if p.silent.Load() {
			if err != nil {
				return
			}
			continue
		}
		if err == nil {
			_, err = to.Write(b[:n])
		}
		if err != nil {
			_ = to.Close()
			return
		}
	}
}

func (p *proxy) serveUDP(t testing.TB, target string) {
	in, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	out, err := net.Dial("udp4", target)
	if err != nil {
		t.Fatal(err)
	}
	p.addr = ma.StringCast(fmt.Sprintf("/ip4/127.0.0.1/udp/%d/quic-v1", in.LocalAddr().(*net.UDPAddr).Port))
	var client atomic.Pointer[net.UDPAddr]
	var wg sync.WaitGroup
	t.Cleanup(func() {
		_ = in.Close()
		_ = out.Close()
		wg.Wait()
	})
	forward := func(read func([]byte) (int, error), write func([]byte) error) {
		b := make([]byte, 64<<10)
		for {
			n, err := read(b)
			p.bytes.Add(int64(n))
			if errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) {
				return
			}
			if err == nil && !p.silent.Load() {
				_ = write(b[:n]) // datagrams may be lost
			}
		}
	}
	wg.Go(func() {
		forward(func(b []byte) (int, error) {
			n, from, err := in.ReadFromUDP(b)
			if err == nil {
				client.Store(from)
			}
			return n, err
		}, func(b []byte) error { _, err := out.Write(b); return err })
	})
	wg.Go(func() {
		forward(out.Read, func(b []byte) error { _, err := in.WriteToUDP(b, client.Load()); return err })
	})
}

func TestSilentPeerIsNoticed(t *testing.T) {
	for name, listen := range map[string]string{"tcp": overTCP, "quic": overQUIC} {
		for own, kind := range map[bool]string{true: "own host", false: "given host"} {
			t.Run(name+" on a "+kind, func(t *testing.T) {
				t.Parallel()
				testSilence(t, listen, own)
			})
		}
	}
}

func testSilence(t *testing.T, listen string, own bool) {
	a, b := newHost(t, listen), newHost(t, listen)
	p := newProxy(t, b)
	ca, ha := startOn(t, streams.Config{Host: a, OwnHost: own})
	_, hb := startOn(t, streams.Config{Host: b, OwnHost: own})
	if err := a.Connect(t.Context(), peer.AddrInfo{ID: b.ID(), Addrs: []ma.Multiaddr{p.addr}}); err != nil {
		t.Fatal(err)
	}
	await(t, "LinkUp", ha.ups)
	await(t, "LinkUp", hb.ups)

	// A writer that is stuck must not keep the link up.
	stuck := make(chan error, 1)
	go func() {
		for {
			if err := ca.Send(t.Context(), wire.PeerID(b.ID()), carrier.News, make([]byte, 1<<20)); err != nil {
				stuck <- err
				return
			}
		}
	}()
	drained := make(chan struct{})
	go func() {
		for {
			select {
			case <-hb.frames:
			case <-drained:
				return
			}
		}
	}()
	defer close(drained)

	p.silent.Store(true)
	cut := time.Now()
	for _, downs := range []chan error{ha.downs, hb.downs} {
		reason := await(t, "LinkDown", downs)
		if took := time.Since(cut); took < 2500*time.Millisecond || took > 5500*time.Millisecond {
			t.Errorf("LinkDown after %v, want about 4 s", took)
		}
		if !errors.Is(reason, streams.ErrSilent) {
			t.Errorf("reason %v, want ErrSilent", reason)
		}
	}
	if err := await(t, "end of Send", stuck); !errors.Is(err, carrier.ErrNoLink) {
		t.Errorf("Send: %v, want ErrNoLink", err)
	}
	if len(ha.downs) != 0 || len(hb.downs) != 0 {
		t.Error("a second LinkDown for one LinkUp")
	}
}

// fast notices silence ten times as soon as by default.
func fast(h host.Host) streams.Config {
	return streams.Config{Host: h, KeepaliveEvery: 50 * time.Millisecond, SilenceMax: 400 * time.Millisecond}
}

func TestBusyHandlerIsNoSilence(t *testing.T) {
	t.Parallel()
	a, b := newHost(t, overTCP), newHost(t, overTCP)
	ca, ha := startOn(t, fast(a))
	_, hb := startOn(t, fast(b))
	hb.hold = make(chan struct{})
	connect(t, a, b)
	await(t, "LinkUp", ha.ups)
	await(t, "LinkUp", hb.ups)
	if err := ca.Send(t.Context(), wire.PeerID(b.ID()), carrier.News, []byte("work")); err != nil {
		t.Fatal(err)
	}
	expectNoLinkDown(t, ha, hb)
	close(hb.hold)
	await(t, "frame", hb.frames)
}

// A sender that is busy with repair must not take that for a sign of life: the
// other side may have no room for it, and then hears only what comes as news.
func TestRepairThatIsNotReadIsNoSignOfLife(t *testing.T) {
	t.Parallel()
	a, b := newHost(t, overTCP), newHost(t, overTCP)
	ca, ha := startOn(t, fast(a))
	_, hb := startOn(t, fast(b))
	hb.hold = make(chan struct{})
	connect(t, a, b)
	await(t, "LinkUp", ha.ups)
	await(t, "LinkUp", hb.ups)
	ctx, cancel := context.WithCancel(t.Context())
	var sender sync.WaitGroup
	sender.Go(func() {
		for ctx.Err() == nil {
			_ = ca.Send(ctx, wire.PeerID(b.ID()), carrier.Repair, []byte("work")) // it may be the last
			time.Sleep(5 * time.Millisecond)
		}
	})
	expectNoLinkDown(t, ha, hb)
	close(hb.hold)
	await(t, "frame", hb.frames)
	cancel()
	sender.Wait()
}

// expectNoLinkDown waits until a silent peer of a fast carrier would be noticed.
func expectNoLinkDown(t *testing.T, sender, receiver *handler) {
	t.Helper()
	select {
	case reason := <-receiver.downs:
		t.Errorf("LinkDown while the handler was busy: %v", reason)
	case reason := <-sender.downs:
		t.Errorf("LinkDown of the sender: %v", reason)
	case <-time.After(1200 * time.Millisecond):
	}
}
