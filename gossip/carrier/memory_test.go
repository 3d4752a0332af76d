package carrier_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/carrier/carriertest"
	"github.com/busnode/busnode/gossip/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func peerName(i int) wire.PeerID { return wire.PeerID(fmt.Sprintf("peer-%d", i)) }

func TestMemoryConforms(t *testing.T) {
	carriertest.Run(t, func(t *testing.T, n int) *carriertest.Cluster {
		return memoryCluster(carrier.NewNetwork(1), n)
	})
}

func TestMemoryConformsWithDelay(t *testing.T) {
	carriertest.Run(t, func(t *testing.T, n int) *carriertest.Cluster {
		net := carrier.NewNetwork(1)
		net.SetDelay(0, 300*time.Microsecond)
		return memoryCluster(net, n)
	})
}

func memoryCluster(net *carrier.Network, n int) *carriertest.Cluster {
	c := &carriertest.Cluster{
		Connect:    func(i, j int) { net.Connect(peerName(i), peerName(j)) },
		Disconnect: func(i, j int) { net.Disconnect(peerName(i), peerName(j)) },
	}
	for i := range n {
		c.Peers = append(c.Peers, peerName(i))
		c.Carriers = append(c.Carriers, net.Join(peerName(i)))
	}
	return c
}

func TestSegmentConforms(t *testing.T) {
	carriertest.Run(t, func(t *testing.T, n int) *carriertest.Cluster {
		net := carrier.NewNetwork(1)
		c := &carriertest.Cluster{Segment: "lan"}
		for i := range n {
			c.Peers = append(c.Peers, peerName(i))
			c.Carriers = append(c.Carriers, net.JoinSegment("lan", peerName(i)))
		}
		return c
	})
}

// calls records what a carrier tells.
type calls struct {
	mu   sync.Mutex // guards the fields below
	list []string
	seen []uint32 // numbers that frames began with
}

func (c *calls) add(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, fmt.Sprintf(format, args...))
}

func (c *calls) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.list
	c.list = nil
	return l
}

func (c *calls) LinkUp(l carrier.Link)           { c.add("up %s", l.Peer) }
func (c *calls) LinkDown(p wire.PeerID, _ error) { c.add("down %s", p) }
func (c *calls) Frame(_ wire.PeerID, _ carrier.Lane, b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = append(c.seen, binary.BigEndian.Uint32(b))
}

// join starts carriers of the given peers in a mesh.
func join(t *testing.T, net *carrier.Network, n int) ([]carrier.Carrier, []*calls) {
	t.Helper()
	net.ConnectAll()
	var cs []carrier.Carrier
	var hs []*calls
	for i := range n {
		c, h := net.Join(peerName(i)), &calls{}
		if err := c.Start(h); err != nil {
			t.Fatal(err)
		}
		cs, hs = append(cs, c), append(hs, h)
	}
	synctest.Wait()
	return cs, hs
}

func closeAll(t *testing.T, cs []carrier.Carrier) {
	t.Helper()
	for _, c := range cs {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

func number(i int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(i)) }

func TestCutAndHeal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := carrier.NewNetwork(1)
		cs, hs := join(t, net, 3)
		for _, h := range hs {
			h.take()
		}
		net.Cut([]wire.PeerID{peerName(0)}, []wire.PeerID{peerName(1), peerName(2)})
		synctest.Wait()
		got := hs[0].take()
		slices.Sort(got)
		if want := []string{"down peer-1", "down peer-2"}; !slices.Equal(got, want) {
			t.Errorf("cut: %v, want %v", got, want)
		}
		if got := hs[1].take(); !slices.Equal(got, []string{"down peer-0"}) {
			t.Errorf("cut: %v", got)
		}
		net.Heal()
		synctest.Wait()
		if got := hs[1].take(); !slices.Equal(got, []string{"up peer-0"}) {
			t.Errorf("healed: %v", got)
		}
		closeAll(t, cs)
	})
}

func TestReliableFramesKeepOrderUnderDelayAndLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := carrier.NewNetwork(7)
		cs, hs := join(t, net, 2)
		net.SetDelay(time.Millisecond, 50*time.Millisecond)
		net.SetLoss(0.02)
		for i := range 500 {
			// While the link is breaking there is none: that frame is lost too.
			_ = cs[0].Send(t.Context(), peerName(1), carrier.News, number(i))
			synctest.Wait()
		}
		time.Sleep(time.Second)
		synctest.Wait()
		seen, told := hs[1].seen, hs[1].take()
		if !slices.IsSorted(seen) || len(seen) == 0 || len(seen) == 500 {
			t.Errorf("%d frames, in order %v", len(seen), slices.IsSorted(seen))
		}
		if len(told) < 3 {
			t.Errorf("frames were lost and the link never broke: %v", told)
		}
		closeAll(t, cs)
	})
}

func TestSegmentLosesAndReorders(t *testing.T) {
	run := func() []uint32 {
		var seen []uint32
		synctest.Test(t, func(t *testing.T) {
			net := carrier.NewNetwork(3)
			net.SetDelay(time.Millisecond, 20*time.Millisecond)
			net.SetLoss(0.1)
			a, b := net.JoinSegment("lan", "a"), net.JoinSegment("lan", "b")
			h := &calls{}
			if err := a.Start(&calls{}); err != nil {
				t.Fatal(err)
			}
			if err := b.Start(h); err != nil {
				t.Fatal(err)
			}
			for i := range 1000 {
				if err := a.Send(t.Context(), "lan", carrier.News, number(i)); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Second)
			net.CutOneWay([]wire.PeerID{"a"}, []wire.PeerID{"b"})
			if err := a.Send(t.Context(), "lan", carrier.News, number(5000)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			closeAll(t, []carrier.Carrier{a, b})
			seen = h.seen
		})
		return seen
	}
	seen := run()
	if len(seen) < 800 || len(seen) > 980 || slices.IsSorted(seen) || slices.Contains(seen, 5000) {
		t.Errorf("%d of 1000 datagrams arrived, in order %v", len(seen), slices.IsSorted(seen))
	}
	if again := run(); !slices.Equal(seen, again) {
		t.Error("the same seed gave another run")
	}
}

// memberCalls records calls about members too.
type memberCalls struct{ calls }

func (c *memberCalls) MemberUp(m carrier.Member)   { c.add("member %s %q", m.Peer, m.Text) }
func (c *memberCalls) MemberDown(m carrier.Member) { c.add("gone %s", m.Peer) }

func TestSegmentGivesUpWhomItDoesNotHear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := carrier.NewNetwork(1)
		a, b, ha, hb := net.JoinSegment("lan", "a"), net.JoinSegment("lan", "b"), &memberCalls{}, &memberCalls{}
		want := func(after time.Duration, h *memberCalls, want ...string) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			if got := h.take(); !slices.Equal(got, want) {
				t.Errorf("told %q, want %q", got, want)
			}
		}
		b.(carrier.Segmented).Announce([]byte("hello"))
		for c, h := range map[carrier.Carrier]*memberCalls{a: ha, b: hb} {
			if err := c.Start(h); err != nil {
				t.Fatal(err)
			}
		}
		want(0, ha, "up lan", `member b "hello"`)
		want(0, hb, "up lan", `member a ""`)

		net.CutOneWay([]wire.PeerID{"b"}, []wire.PeerID{"a"})
		want(3*time.Second, ha)
		net.Heal()
		want(10*time.Second, ha)
		net.CutOneWay([]wire.PeerID{"b"}, []wire.PeerID{"a"})
		b.(carrier.Segmented).Announce([]byte("unheard"))
		want(4*time.Second, ha, "gone b")
		want(0, hb)
		if err := a.Send(t.Context(), "b", carrier.News, number(1)); !errors.Is(err, carrier.ErrNoLink) {
			t.Errorf("Send to a member that is not heard: %v", err)
		}
		net.Heal()
		want(0, ha, `member b "unheard"`)

		net.CutOneWay([]wire.PeerID{"b"}, []wire.PeerID{"a"})
		closeAll(t, []carrier.Carrier{b}) // its goodbye is not heard
		want(time.Second, ha)
		again := net.JoinSegment("lan", "b")
		if err := again.Start(&calls{}); err != nil {
			t.Fatal(err)
		}
		net.Heal()
		want(10*time.Second, ha, `member b ""`)
		closeAll(t, []carrier.Carrier{again, a})
		want(0, ha, "gone b", "down lan")
	})
}

func TestBandwidthPacesFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := carrier.NewNetwork(1)
		cs, hs := join(t, net, 2)
		net.SetBandwidth(1 << 20)
		begin := time.Now()
		for i := range 64 {
			frame := append(number(i), make([]byte, 64<<10-4)...)
			if err := cs[0].Send(t.Context(), peerName(1), carrier.Repair, frame); err != nil {
				t.Fatal(err)
			}
		}
		for {
			hs[1].mu.Lock()
			done := len(hs[1].seen) == 64
			hs[1].mu.Unlock()
			if done {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		if took := time.Since(begin); took < 3900*time.Millisecond || took > 4100*time.Millisecond {
			t.Errorf("4 MiB at 1 MiB/s took %v", took)
		}
		closeAll(t, cs)
	})
}

func TestDisconnectRefusesForAWhileAndPeersRejoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := carrier.NewNetwork(1)
		cs, hs := join(t, net, 2)
		cs[0].Disconnect(peerName(1), "test")
		synctest.Wait()
		if got, want := hs[1].take(), []string{"up peer-0", "down peer-0"}; !slices.Equal(got, want) {
			t.Errorf("disconnected: %v, want %v", got, want)
		}
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if got := hs[1].take(); !slices.Equal(got, []string{"up peer-0"}) {
			t.Errorf("after the refusal: %v", got)
		}
		if err := net.Join(peerName(0)).Start(&calls{}); err == nil {
			t.Error("a peer joined twice at once")
		}
		closeAll(t, cs[:1])
		again, h := net.Join(peerName(0)), &calls{}
		if err := again.Start(h); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := h.take(); !slices.Equal(got, []string{"up peer-1"}) {
			t.Errorf("after joining again: %v", got)
		}
		closeAll(t, []carrier.Carrier{again, cs[1]})
	})
}
