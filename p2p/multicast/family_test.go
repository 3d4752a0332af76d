package multicast

import (
	"crypto/rand"
	"testing"
	"testing/synctest"
	"time"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/p2p/multicast/datagram"
	"github.com/busnode/busnode/p2p/multicast/socket"
)

// forge sends a datagram under IPv6 that claims to be of the stream, and proves nothing.
func forge(t *testing.T, w *ether, id datagram.StreamID) {
	m := newFakeMachine(99)
	m.plug(2, "eth0", w, socket.IPv6)
	e, err := m.open(m.cards[0], socket.IPv6, socket.Group{})
	if err != nil {
		t.Fatal(err)
	}
	d := make([]byte, 100)
	_, _ = rand.Read(d) // never fails
	copy(d, []byte{'M', 'C', datagram.Version, byte(datagram.TypeShard)})
	copy(d[8:], id[:])
	if _, err := e.Write([][]byte{d}, 1); err != nil {
		t.Error(err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

// One forged datagram each ten seconds, with the number of a run that anybody on the wire can
// read, kept a member that has IPv4 alone from being heard.
func TestAStrangerDoesNotChooseAMembersFamily(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newEther()
		a, old := onWire(t, 0, w, both...), onWire(t, 1, w, socket.IPv4)
		a.told(5*time.Second, "up segment:eth0", `member n1 ""`)
		id := old.list()[0].stream
		for range 4 {
			forge(t, w, id)
			time.Sleep(time.Second)
			old.send("segment:eth0", carrier.News, "heard")
			a.got(4*time.Second, "n1/0 heard")
		}
		a.told(time.Minute)
		closeNodes(t, a, old)
	})
}

// Nor does one that claims to be of ever so many runs: each of its numbers pushed the
// others' out before they were found to be heard on IPv4 alone.
func TestAFloodOfClaimsDoesNotSilenceIPv4(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newEther()
		a := onWire(t, 0, w, both...)
		a.told(5*time.Second, "up segment:eth0")
		old := onWire(t, 1, w, socket.IPv4)
		for range 20 {
			for range familyMax {
				var id datagram.StreamID
				_, _ = rand.Read(id[:]) // never fails
				forge(t, w, id)
			}
			time.Sleep(250 * time.Millisecond)
		}
		a.told(0, `member n1 ""`)
		old.send("segment:eth0", carrier.News, "heard")
		a.got(time.Second, "n1/0 heard")
		if n := len(a.list()[0].gate.claims); n > familyMax {
			t.Errorf("%d claims are remembered", n)
		}
		closeNodes(t, a, old)
	})
}
