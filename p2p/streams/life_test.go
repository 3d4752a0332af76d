package streams

import (
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	ma "github.com/multiformats/go-multiaddr"
)

// directConn is a connection of which little is asked.
type directConn struct{ network.Conn }

func (directConn) Stat() network.ConnStats       { return network.ConnStats{} }
func (directConn) RemoteMultiaddr() ma.Multiaddr { return ma.StringCast("/ip4/192.0.2.1/tcp/1") }

// lifeStream notes when something is written to it, and how much.
type lifeStream struct {
	network.Stream
	mu    sync.Mutex // guards the fields below
	times []time.Time
	bytes int
}

func (s *lifeStream) Conn() network.Conn               { return directConn{} }
func (s *lifeStream) SetWriteDeadline(time.Time) error { return nil }
func (s *lifeStream) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.times = append(s.times, time.Now())
	s.bytes += len(b)
	return len(b), nil
}

// watched runs f beside a watched link, in fake time, and returns the stream.
func watched(t *testing.T, f func(c *Carrier, l *link)) (*lifeStream, Stats) {
	t.Helper()
	c := New(Config{})
	time.Sleep(time.Hour) // the link is younger than its carrier
	n := newNeighbour(c, "peer")
	c.neighbours[n.id] = n
	s := &lifeStream{}
	l := newLink(n, s, nil)
	n.link.Store(l)
	var wg sync.WaitGroup
	wg.Go(c.watch)
	wg.Go(l.news.run)
	f(c, l)
	synctest.Wait()
	l.fail(net.ErrClosed)
	c.cancel()
	wg.Wait()
	return s, c.Stats()
}

func TestIdleLinkShowsLifeOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now().Add(time.Hour)
		s, stats := watched(t, func(*Carrier, *link) { time.Sleep(10 * time.Minute) })
		last := start
		for _, at := range s.times {
			if gap := at.Sub(last); gap > 1625*time.Millisecond {
				t.Errorf("nothing was sent for %v", gap)
			}
			last = at
		}
		if s.bytes > 700 { // 600 s; a sign each 1.5 s, and a ping of 6 bytes for each tenth
			t.Errorf("%d bytes in ten minutes", s.bytes)
		}
		if stats.BytesSent != uint64(s.bytes) || stats.LivenessBytesSent != uint64(s.bytes) {
			t.Errorf("%d bytes were written; counted %d, of liveness %d", s.bytes, stats.BytesSent, stats.LivenessBytesSent)
		}
	})
}

func TestBusyLinkNeedsNoSigns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		frames := 0
		_, stats := watched(t, func(_ *Carrier, l *link) {
			for range 600 {
				time.Sleep(time.Second)
				if err := l.news.send(t.Context(), 9, [][]byte{[]byte("something")}); err != nil {
					t.Fatal(err)
				}
				frames++
			}
		})
		pings := uint64(600 / 15)
		if want := pings * (2 + tokenBytes); stats.LivenessBytesSent != want {
			t.Errorf("%d bytes of liveness, want %d for %d pings", stats.LivenessBytesSent, want, pings)
		}
		if want := uint64(frames*10) + stats.LivenessBytesSent; stats.BytesSent != want {
			t.Errorf("%d bytes sent, want %d", stats.BytesSent, want)
		}
	})
}

func TestPongAnswersTheNewestPingAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Config{})
		l := newLink(newNeighbour(c, "peer"), &lifeStream{}, nil)
		expect := func(what string, want time.Duration) {
			t.Helper()
			if got := time.Duration(l.n.roundTrip.Load()); got != want {
				t.Errorf("%s: round trip %v, want %v", what, got, want)
			}
		}
		l.control([]byte{controlPong, 0, 0, 0, 0})
		expect("a pong without a ping", 0)
		l.sendPing()
		ping, control, err := newFrameReader(&pendingOf{l.news}, 0).next()
		if err != nil || !control || len(ping) != 1+tokenBytes || ping[0] != controlPing {
			t.Fatalf("ping %x, control %v, %v", ping, control, err)
		}
		time.Sleep(70 * time.Millisecond)
		l.control([]byte{controlPong, 0, 0, 0, 0})
		l.control([]byte{controlPong})
		expect("a pong of another token", 0)
		l.control(append([]byte{controlPong}, ping[1:]...))
		expect("the pong", 70*time.Millisecond)
		time.Sleep(time.Second)
		l.control(append([]byte{controlPong}, ping[1:]...))
		expect("the pong once more", 70*time.Millisecond)
		c.cancel()
	})
}

// pendingOf reads what waits in a writer.
type pendingOf struct{ w *writer }

func (p *pendingOf) Read(b []byte) (int, error) {
	n := copy(b, p.w.pending)
	p.w.pending = p.w.pending[n:]
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}
