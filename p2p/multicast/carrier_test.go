package multicast

import (
	"errors"
	"slices"
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
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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

func TestWithoutAKeyTheCarrierIsInert(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newEther()
		noKey := func(c *Config) { c.NetworkKey = nil }
		m0, m1 := newFakeMachine(1), newFakeMachine(2)
		m0.plug(2, "eth0", w, both...)
		m1.plug(2, "eth0", w, both...)
		a, b := startNode(t, 0, m0, noKey), startNode(t, 1, m1, noKey)
		m0.renumber(2, both...) // the interfaces change, which nobody watches
		a.told(time.Minute)
		if sent := w.takeSent(); sent != [2]int{} || len(w.ends) > 0 {
			t.Errorf("an inert carrier sent %v on %d sockets", sent, len(w.ends))
		}
		if got := m0.takeAsked(); got != (asked{}) {
			t.Errorf("an inert carrier asked of the system: %+v", got)
		}
		if st := a.Status(); st.Err != nil || len(st.Segments) > 0 {
			t.Errorf("status: %+v", st)
		}
		for _, n := range []*node{a, b} {
			if err := n.SetRoots(datagram.Root{1}); err != nil {
				t.Fatal(err)
			}
		}
		a.told(time.Second, "up segment:eth0", `member n1 ""`)
		if st := a.Status(); len(st.Segments) != 1 || len(st.Segments[0].Members) != 1 {
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
		if got := m0.takeAsked(); got.watches != 1 || got.watching != 0 || got.scans == 0 || got.opened != 2 {
			t.Errorf("asked of the system while there was a key: %+v", got)
		}
		m0.renumber(2, both...)
		a.told(time.Minute)
		if got := m0.takeAsked(); got != (asked{}) {
			t.Errorf("a carrier that is inert again asked of the system: %+v", got)
		}
		if err := a.SetRoots(datagram.Root{2}); err != nil {
			t.Fatal(err)
		}
		a.told(time.Second, "up segment:eth0", `member n1 ""`)
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
		closeNodes(t, nodes...)
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
