package multicast

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/p2p/multicast/socket"
)

func TestInterfacesComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newEther()
		a, b := startNode(t, 0, newFakeMachine(1)), onWire(t, 1, w, both...)
		a.told(time.Second)
		if st := a.Status(); len(st.Segments) > 0 {
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
