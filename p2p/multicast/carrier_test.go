package multicast

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	"go.uber.org/goleak"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/carrier/carriertest"
	"github.com/busnode/busnode/gossip/wire"
	"github.com/busnode/busnode/p2p/multicast/datagram"
	"github.com/busnode/busnode/p2p/multicast/segment"
	"github.com/busnode/busnode/p2p/multicast/socket"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// keyOf returns the key of a test's node.
func keyOf(n int) ed25519.PrivateKey {
	seed := sha256.Sum256(fmt.Append(nil, "node ", n))
	return ed25519.NewKeyFromSeed(seed[:])
}

func configOf(t testing.TB, n int) Config {
	return Config{
		Key: keyOf(n), Network: "test", NetworkKey: make([]byte, 32),
		Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
}

func newOn(t testing.TB, m machine, cfg Config) *Carrier {
	t.Helper()
	c, err := newCarrier(cfg, m)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var both = []socket.Family{socket.IPv6, socket.IPv4}

func TestConformsOnAWireInMemory(t *testing.T) {
	carriertest.Run(t, func(t *testing.T, n int) *carriertest.Cluster {
		c, w := &carriertest.Cluster{Segment: "segment:eth0"}, newEther()
		for i := range n {
			m := newFakeMachine(byte(i + 1))
			m.plug(2, "eth0", w, both...)
			x := newOn(t, m, configOf(t, i))
			c.Carriers, c.Peers = append(c.Carriers, x), append(c.Peers, x.Self())
		}
		return c
	})
}

// node is a carrier of a test, and what its handler was told.
type node struct {
	*Carrier
	t       testing.TB
	machine *fakeMachine
	hold    chan struct{} // Frame of News waits until it is closed; nil: no waiting

	mu     sync.Mutex // guards the fields below
	calls  []string
	frames []string
}

func (n *node) add(list *[]string, format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	*list = append(*list, fmt.Sprintf(format, args...))
}

func (n *node) LinkUp(l carrier.Link)           { n.add(&n.calls, "up %s", l.Peer) }
func (n *node) LinkDown(p wire.PeerID, _ error) { n.add(&n.calls, "down %s", p) }
func (n *node) MemberUp(m carrier.Member)       { n.add(&n.calls, "member %s %q", who(m.Peer), m.Text) }
func (n *node) MemberDown(m carrier.Member)     { n.add(&n.calls, "gone %s", who(m.Peer)) }
func (n *node) Frame(p wire.PeerID, l carrier.Lane, b []byte) {
	if n.hold != nil && l == carrier.News {
		<-n.hold
	}
	n.add(&n.frames, "%s/%d %.40s", who(p), l, b)
}

// who returns a test's number of a peer.
func who(p wire.PeerID) string {
	for i := range 60 {
		if wire.Author(keyOf(i).Public().(ed25519.PublicKey)).PeerID() == p {
			return fmt.Sprint("n", i)
		}
	}
	return "nobody"
}

func take(n *node, list *[]string) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := *list
	*list = nil
	return l
}

// told waits for the time, and compares the calls about links and members since.
func (n *node) told(after time.Duration, want ...string) {
	n.t.Helper()
	time.Sleep(after)
	synctest.Wait()
	if got := take(n, &n.calls); !slices.Equal(got, want) {
		n.t.Errorf("told %q, want %q", got, want)
	}
}

func (n *node) got(after time.Duration, want ...string) {
	n.t.Helper()
	time.Sleep(after)
	synctest.Wait()
	if got := take(n, &n.frames); !slices.Equal(got, want) {
		n.t.Errorf("got %q, want %q", got, want)
	}
}

func (n *node) send(to wire.PeerID, lane carrier.Lane, text string) {
	n.t.Helper()
	if err := n.Send(n.t.Context(), to, lane, []byte(text)); err != nil {
		n.t.Errorf("Send: %v", err)
	}
}

// startNode starts a node whose interfaces the test has plugged in.
func startNode(t testing.TB, number int, m *fakeMachine, change ...func(*Config)) *node {
	t.Helper()
	cfg := configOf(t, number)
	for _, f := range change {
		f(&cfg)
	}
	n := &node{Carrier: newOn(t, m, cfg), t: t, machine: m}
	if err := n.Start(n); err != nil {
		t.Fatal(err)
	}
	return n
}

// onWire starts a node with one interface.
func onWire(t testing.TB, number int, w *ether, families ...socket.Family) *node {
	t.Helper()
	m := newFakeMachine(byte(number + 1))
	m.plug(2, "eth0", w, families...)
	return startNode(t, number, m)
}

// await waits until a condition holds.
func await(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

func (n *node) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.frames)
}

func closeNodes(t testing.TB, nodes ...*node) {
	t.Helper()
	for _, n := range nodes {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestFramesArriveThroughLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newEther()
		a, b, c := onWire(t, 0, w, both...), onWire(t, 1, w, both...), onWire(t, 2, w, both...)
		time.Sleep(3 * time.Second)
		w.setLoss(0.2)
		var toAll, toB []string
		for i := range 300 {
			text := fmt.Sprintf("%d", i) + strings.Repeat(".", i*37%5000)
			a.send("segment:eth0", carrier.News, text)
			toAll = append(toAll, fmt.Sprintf("n0/0 %.40s", text))
			if i%10 == 0 {
				a.send(b.Self(), carrier.Repair, text)
				toB = append(toB, fmt.Sprintf("n0/1 %.40s", text))
			}
		}
		time.Sleep(20 * time.Second)
		synctest.Wait()
		for _, n := range []*node{b, c} {
			news, repair := split(take(n, &n.frames))
			if !slices.Equal(news, toAll) {
				t.Errorf("%d of %d frames to all, or in another order", len(news), len(toAll))
				t.Logf("%+v", n.Status().Segments[0].Engine)
				t.Logf("%+v", a.Status().Segments[0].Engine)
			}
			if n == b && !slices.Equal(repair, toB) || n == c && len(repair) > 0 {
				t.Errorf("%d of %d addressed frames", len(repair), len(toB))
			}
		}
		closeNodes(t, a, b, c)
	})
}

// split divides frames by lane.
func split(frames []string) (news, repair []string) {
	for _, f := range frames {
		if strings.Contains(f, "/0 ") {
			news = append(news, f)
		} else {
			repair = append(repair, f)
		}
	}
	return news, repair
}

func TestWithoutAKeyTheCarrierIsInert(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newEther()
		noKey := func(c *Config) { c.NetworkKey = nil }
		m0, m1 := newFakeMachine(1), newFakeMachine(2)
		m0.plug(2, "eth0", w, both...)
		m1.plug(2, "eth0", w, both...)
		a, b := startNode(t, 0, m0, noKey), startNode(t, 1, m1, noKey)
		a.told(time.Minute)
		if sent := w.takeSent(); sent != [2]int{} || len(w.ends) > 0 {
			t.Errorf("an inert carrier sent %v on %d sockets", sent, len(w.ends))
		}
		if st := a.Status(); st.Inert == "" || len(st.Segments) > 0 || len(st.Unused) != 1 {
			t.Errorf("status: %+v", st)
		}
		for _, n := range []*node{a, b} {
			if err := n.SetRoots(datagram.Root{1}); err != nil {
				t.Fatal(err)
			}
		}
		a.told(time.Second, "up segment:eth0", `member n1 ""`)
		if st := a.Status(); st.Inert != "" || len(st.Segments) != 1 || len(st.Segments[0].Members) != 1 {
			t.Errorf("status: %+v", st)
		}
		// The next key is opened by all before anybody seals with it.
		for _, n := range []*node{a, b} {
			if err := n.SetRoots(datagram.Root{1}, datagram.Root{2}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		for _, n := range []*node{a, b} {
			if err := n.SetRoots(datagram.Root{2}, datagram.Root{1}); err != nil {
				t.Fatal(err)
			}
		}
		a.send("segment:eth0", carrier.News, "under the second")
		b.got(time.Second, "n0/0 under the second")
		if err := a.SetRoots(make([]datagram.Root, datagram.RootsMax+1)...); !errors.Is(err, ErrConfig) {
			t.Errorf("too many keys: %v", err)
		}
		if err := a.SetRoots(); err != nil {
			t.Fatal(err)
		}
		a.told(time.Second, "gone n1", "down segment:eth0")
		b.told(0, "up segment:eth0", `member n0 ""`, "gone n0")
		closeNodes(t, a, b)
	})
}

func TestOpenNetworksAndOthersDoNotMix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newEther()
		var nodes []*node
		for i, change := range []func(*Config){
			func(c *Config) { c.NetworkKey, c.Open = nil, true },
			func(c *Config) { c.NetworkKey, c.Open = nil, true },
			func(*Config) {},
			func(c *Config) { c.NetworkKey = []byte("another") },
			func(c *Config) { c.NetworkKey, c.Open, c.Network = nil, true, "other" },
		} {
			m := newFakeMachine(byte(i + 1))
			m.plug(2, "eth0", w, both...)
			nodes = append(nodes, startNode(t, i, m, change))
		}
		nodes[0].told(5*time.Second, "up segment:eth0", `member n1 ""`)
		nodes[1].told(0, "up segment:eth0", `member n0 ""`)
		for _, n := range nodes[2:] {
			n.told(0, "up segment:eth0")
		}
		if !nodes[0].Status().Open || nodes[2].Status().Open {
			t.Error("status does not say which network is open")
		}
		closeNodes(t, nodes...)
	})
}

func TestInterfacesComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newEther()
		a, b := startNode(t, 0, newFakeMachine(1)), onWire(t, 1, w, both...)
		a.told(time.Second)
		if st := a.Status(); st.Inert == "" {
			t.Errorf("status: %+v", st)
		}
		a.machine.plug(2, "eth0", w, socket.IPv4)
		a.told(2*time.Second, "up segment:eth0", `member n1 ""`)
		b.told(0, "up segment:eth0", `member n0 ""`)
		a.machine.renumber(2, both...)                // IPv6's address has settled
		a.send("segment:eth0", carrier.News, "still") // from another address, which a beacon has to tell
		b.got(3*time.Second, "n0/0 still")
		a.told(time.Minute)
		b.told(0)
		a.machine.unplug(2) // with its addresses: without any the farewell would not leave
		a.told(time.Second, "gone n1", "down segment:eth0")
		b.told(0, "gone n0")
		if err := a.Send(t.Context(), "segment:eth0", carrier.News, []byte("x")); !errors.Is(err, carrier.ErrNoLink) {
			t.Errorf("Send: %v", err)
		}
		a.machine.plug(7, "eth0", w, both...)
		a.told(2*time.Second, "up segment:eth0", `member n1 ""`)
		b.told(0, `member n0 ""`)
		closeNodes(t, a, b)
	})
}

func TestOfTwoInterfacesOnOneWireOneIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, other := newEther(), newEther()
		m := newFakeMachine(1)
		m.plug(2, "eth0", w, both...)
		m.plug(3, "eth1", w, both...)
		a, b, c := startNode(t, 0, m), onWire(t, 1, w, both...), onWire(t, 2, other, both...)
		a.told(10*time.Second, "up segment:eth0", `member n1 ""`)
		b.told(0, "up segment:eth0", `member n0 ""`)
		if m := a.Members(); len(m) != 1 || m[0].Segment != "segment:eth0" {
			t.Errorf("members %+v", m)
		}
		a.send("segment:eth0", carrier.News, "once")
		b.got(time.Second, "n0/0 once")
		b.send("segment:eth0", carrier.News, "once, too")
		a.got(time.Second, "n1/0 once, too")
		if err := a.Send(t.Context(), "segment:eth1", carrier.News, []byte("x")); !errors.Is(err, carrier.ErrNoLink) {
			t.Errorf("Send on the passive segment: %v", err)
		}
		a.told(2 * time.Minute)
		if st := a.Status(); len(st.Segments) != 2 || st.Segments[1].Passive != "segment:eth0" {
			t.Errorf("status %+v", st)
		}
		// The first cable is pulled: the second takes over at once.
		m.unplug(2)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		calls := take(a, &a.calls)
		slices.Sort(calls) // those about two links come in any order
		if want := []string{"down segment:eth0", "gone n1", `member n1 ""`, "up segment:eth1"}; !slices.Equal(calls, want) {
			t.Errorf("told %q, want %q", calls, want)
		}
		// It is plugged into another wire: both are used.
		m.plug(2, "eth0", other, both...)
		a.told(20*time.Second, "up segment:eth0", `member n2 ""`)
		a.send(c.Self(), carrier.News, "to c")
		c.got(time.Second, "n0/0 to c")
		closeNodes(t, a, b, c)
	})
}

func TestASiblingThatFallsSilentIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newEther()
		m := newFakeMachine(1)
		m.plug(2, "eth0", w, both...)
		m.plug(3, "eth1", w, both...)
		// The only switch between the two interfaces breaks, and is mended.
		a, mb := startNode(t, 0, m), newFakeMachine(2)
		mb.plug(4, "eth0", w, both...)
		b := startNode(t, 1, mb)
		a.told(10*time.Second, "up segment:eth0", `member n1 ""`)
		w.split(2, true)
		time.Sleep(20 * time.Second)
		synctest.Wait()
		calls := take(a, &a.calls)
		slices.Sort(calls)
		if want := []string{"gone n1", `member n1 ""`, "up segment:eth1"}; !slices.Equal(calls, want) {
			t.Errorf("told %q, want %q", calls, want)
		}
		take(b, &b.calls)
		w.split(2, false)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		calls = take(a, &a.calls)
		if !slices.Contains(calls, "down segment:eth1") || calls[len(calls)-1] != `member n1 ""` {
			t.Errorf("told %q", calls)
		}
		a.send("segment:eth0", carrier.News, "by the first again")
		b.got(time.Second, "n0/0 by the first again")
		if m := b.Members(); len(m) != 1 {
			t.Errorf("members %+v", m)
		}
		closeNodes(t, a, b)
	})
}

func TestIPv4IsUsedWhereItIsNeeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newEther()
		a, b := onWire(t, 0, w, both...), onWire(t, 1, w, both...)
		a.told(2*time.Second, "up segment:eth0", `member n1 ""`)
		w.takeSent()
		a.send("segment:eth0", carrier.News, "under IPv6")
		b.got(time.Minute, "n0/0 under IPv6")
		if sent := w.takeSent(); sent[socket.IPv4] > 0 || sent[socket.IPv6] < 60 {
			t.Errorf("sent %v while IPv6 serves all", sent)
		}
		old := onWire(t, 2, w, socket.IPv4)
		time.Sleep(5 * time.Second)
		if m := old.Members(); len(m) != 2 {
			t.Errorf("members under IPv4: %+v", m)
		}
		old.send("segment:eth0", carrier.News, "under IPv4")
		a.got(time.Second, "n2/0 under IPv4")
		a.send("segment:eth0", carrier.News, "to all")
		b.got(time.Second, "n2/0 under IPv4", "n0/0 to all")
		old.got(time.Second, "n0/0 to all")
		for _, n := range []*node{a, b, old} {
			take(n, &n.calls)
			n.told(2 * time.Minute) // nobody is lost
		}
		closeNodes(t, old)
		time.Sleep(2 * time.Minute)
		w.takeSent()
		time.Sleep(time.Minute)
		if sent := w.takeSent(); sent[socket.IPv4] > 0 {
			t.Errorf("sent %v after the last that needed IPv4 had gone", sent)
		}
		closeNodes(t, a, b)
	})
}

func TestWhereIPv6DoesNotPassIPv4Serves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newEther()
		w.setDeaf(socket.IPv6, true)
		a, b := onWire(t, 0, w, both...), onWire(t, 1, w, both...)
		a.told(5*time.Second, "up segment:eth0", `member n1 ""`)
		b.send("segment:eth0", carrier.News, "heard")
		a.got(time.Second, "n1/0 heard")
		a.told(time.Minute)
		closeNodes(t, a, b)
	})
}

func TestADisconnectedPeerIsNotHeardForAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newEther()
		a, b := onWire(t, 0, w, both...), onWire(t, 1, w, both...)
		a.told(2*time.Second, "up segment:eth0", `member n1 ""`)
		a.Disconnect(b.Self(), "test")
		a.told(0, "gone n1")
		b.send("segment:eth0", carrier.News, "unheard")
		b.Announce([]byte("anew"))
		a.got(10 * time.Second)
		if st := a.Status(); st.Segments[0].FramesRefused != 1 || len(a.Members()) > 0 {
			t.Errorf("status %+v", st)
		}
		a.told(40 * time.Second)
		a.told(15*time.Second, `member n1 "anew"`)
		b.send("segment:eth0", carrier.News, "heard")
		a.got(time.Second, "n1/0 heard")
		closeNodes(t, a, b)
	})
}

func TestPeersThatAreNotAdmittedAreNoMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newEther()
		b, c := onWire(t, 1, w, both...), onWire(t, 2, w, both...)
		m := newFakeMachine(1)
		m.plug(2, "eth0", w, both...)
		a := startNode(t, 0, m, func(cfg *Config) { cfg.Admit = func(p wire.PeerID) bool { return p == c.Self() } })
		a.told(5*time.Second, "up segment:eth0", `member n2 ""`)
		b.send("segment:eth0", carrier.News, "from b")
		c.send("segment:eth0", carrier.News, "from c")
		a.got(time.Second, "n2/0 from c")
		closeNodes(t, a, b, c)
	})
}

func TestABlockedHandlerStopsItsLaneAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newEther()
		m := newFakeMachine(1)
		m.plug(2, "eth0", w, both...)
		a, b := onWire(t, 1, w, both...), &node{t: t, machine: m, hold: make(chan struct{})}
		b.Carrier = newOn(t, m, configOf(t, 2))
		if err := b.Start(b); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		frame := strings.Repeat("x", segment.FrameMaxBytes)
		const sent = 3 * undeliveredMaxBytes / segment.FrameMaxBytes
		for range sent {
			a.send("segment:eth0", carrier.News, frame)
		}
		a.send("segment:eth0", carrier.Repair, "repair")
		b.got(30*time.Second, "n1/1 repair")
		a.Announce([]byte("alive"))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if calls := take(b, &b.calls); calls[len(calls)-1] != `member n1 "alive"` {
			t.Errorf("told %q", calls)
		}
		dropped := b.Status().Segments[0].FramesDropped
		if dropped == 0 {
			t.Error("a queue without a bound")
		}
		close(b.hold)
		time.Sleep(time.Second)
		synctest.Wait()
		if got := take(b, &b.frames); len(got)+int(dropped) != sent {
			t.Errorf("%d frames handed on, %d dropped, of %d", len(got), dropped, sent)
		}
		closeNodes(t, a, b)
	})
}

func TestSendWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newEther()
		a, b := onWire(t, 0, w, both...), onWire(t, 1, w, both...)
		time.Sleep(3 * time.Second)
		frame := make([]byte, segment.FrameMaxBytes)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		taken := 0
		for a.Send(ctx, "segment:eth0", carrier.Repair, frame) == nil {
			taken++
		}
		if !errors.Is(ctx.Err(), context.DeadlineExceeded) || taken < 2 || taken > 16 {
			t.Errorf("%d frames were taken at once: %v", taken, ctx.Err())
		}
		a.send("segment:eth0", carrier.News, "news") // does not wait for the other lane
		b.got(time.Second, "n0/0 news")
		begin := time.Now()
		for range 3 {
			a.send("segment:eth0", carrier.Repair, string(frame))
		}
		if took := time.Since(begin); took < 100*time.Millisecond {
			t.Errorf("no room was waited for: %v", took)
		}
		closeNodes(t, a, b)
	})
}

func TestBeaconsTellAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newEther()
		m := newFakeMachine(1)
		m.plug(2, "eth0", w, both...)
		first, second := ma.StringCast("/ip4/10.0.0.1/tcp/4001"), ma.StringCast("/ip6/fd00::1/udp/4001/quic-v1")
		a := startNode(t, 0, m, func(c *Config) { c.Addrs = []ma.Multiaddr{first} })
		b := onWire(t, 1, w, both...)
		want := func(want ...string) {
			t.Helper()
			time.Sleep(3 * time.Second)
			synctest.Wait()
			if m := b.Members(); len(m) != 1 || !slices.Equal(m[0].Addrs, want) {
				t.Errorf("members %+v, want %q", m, want)
			}
		}
		want(first.String())
		a.SetAddrs([]ma.Multiaddr{second, first})
		want(second.String(), first.String())
		closeNodes(t, a, b)
	})
}

func TestConfigurationsThatAreRefused(t *testing.T) {
	good := func() Config { return Config{Key: keyOf(0), Network: "test"} }
	for name, change := range map[string]func(*Config){
		"no key":               func(c *Config) { c.Key = nil },
		"no network":           func(c *Config) { c.Network = "" },
		"open and with a key":  func(c *Config) { c.Open, c.NetworkKey = true, make([]byte, 32) },
		"rates that fall":      func(c *Config) { c.Rates = segment.Rates{Start: 2, Max: 1} },
		"a false name pattern": func(c *Config) { c.Interfaces = []string{"eth["} },
	} {
		cfg := good()
		change(&cfg)
		if _, err := New(cfg); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v, want ErrConfig", name, err)
		}
	}
	c, err := New(good())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

func TestNetworksHaveGroupsOfTheirOwn(t *testing.T) {
	a, b := Config{Network: "a"}, Config{Network: "b"}
	keyed := Config{Network: "a", NetworkKey: []byte("key")}
	if a.group() == b.group() || a.group() == keyed.group() || a.group() != (&Config{Network: "a", Open: true}).group() {
		t.Errorf("groups %v, %v, %v", a.group(), b.group(), keyed.group())
	}
}

// TestASocketThatCouldNotBeOpenedIsTriedAgain has a cause pass that the
// interface's state does not tell of.
func TestASocketThatCouldNotBeOpenedIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newEther()
		m := newFakeMachine(1)
		m.fail(socket.IPv6, true)
		m.plug(2, "eth0", w, both...)
		a := startNode(t, 0, m)
		a.told(2*time.Second, "up segment:eth0")
		if sent := w.takeSent(); sent[socket.IPv6] > 0 || sent[socket.IPv4] == 0 {
			t.Errorf("sent %v", sent)
		}
		m.fail(socket.IPv6, false)
		time.Sleep(3 * time.Second)
		if sent := w.takeSent(); sent[socket.IPv6] == 0 {
			t.Errorf("sent %v after the cause has passed", sent)
		}
		closeNodes(t, a)
	})
}

// TestAMembersLastFramesAreHandedOn has what a member sent and its farewell come at once.
func TestAMembersLastFramesAreHandedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newFakeMachine(1)
		m.plug(2, "eth0", newEther(), both...)
		n := startNode(t, 0, m)
		closeNodes(t, n)
		s, err := openStation(n.Carrier, socket.Interface{Index: 2, Name: "eth0", V6: true})
		if err != nil {
			t.Fatal(err)
		}
		s.deliver = newDelivery(n)
		member := segment.Member{Peer: wire.Author(keyOf(1).Public().(ed25519.PublicKey)).PeerID()}
		frame := func(text string) segment.Frame {
			return segment.Frame{From: member.Peer, Bytes: []byte(text)}
		}
		s.carryOut(segment.Output{
			Members: []segment.MemberChange{
				{Kind: segment.Up, Member: member},
				{Kind: segment.Down, Member: member, After: 2},
				{Kind: segment.Up, Member: member, After: 2},
				{Kind: segment.Down, Member: member, After: 3},
			},
			Frames: []segment.Frame{frame("one"), frame("two"), frame("anew"), frame("gone")},
		})
		n.got(0, "n1/0 one", "n1/0 two", "n1/0 anew")
		if s.counts.refused != 1 {
			t.Errorf("%d frames refused, want 1", s.counts.refused)
		}
		s.closeSocket(socket.IPv6)
		s.deliver.close()
	})
}
