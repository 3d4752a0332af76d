package multicast

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/wire"
	"github.com/busnode/busnode/p2p/multicast/segment"
)

// slow is a handler whose calls wait until they are let through, one by one.
type slow struct {
	next, frames chan struct{} // calls about events, and calls of Frame

	mu    sync.Mutex // guards the field below
	calls []string
}

func (s *slow) call(format string, args ...any) {
	s.mu.Lock()
	s.calls = append(s.calls, fmt.Sprintf(format, args...))
	s.mu.Unlock()
}

func (s *slow) LinkUp(carrier.Link)         { s.call("up"); <-s.next }
func (s *slow) LinkDown(wire.PeerID, error) { s.call("down"); <-s.next }
func (s *slow) MemberUp(m carrier.Member)   { s.call("member %s", m.Peer); <-s.next }

func (s *slow) MemberDown(m carrier.Member) { s.call("gone %s", m.Peer); <-s.next }

func (s *slow) Frame(p wire.PeerID, l carrier.Lane, b []byte) {
	s.call("%s/%d %s", p, l, b)
	<-s.frames
}

func TestFramesComeAfterWhatCameBeforeThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &slow{next: make(chan struct{}), frames: make(chan struct{})}
		d := newDelivery(h, "segment:eth0")
		// want compares the calls since the last look, and lets so many about events return.
		want := func(pass int, want ...string) {
			t.Helper()
			synctest.Wait()
			h.mu.Lock()
			slices.Sort(h.calls) // of two lanes in any order
			if !slices.Equal(h.calls, want) {
				t.Errorf("called %q, want %q", h.calls, want)
			}
			h.calls = nil
			h.mu.Unlock()
			for range pass {
				h.next <- struct{}{}
			}
		}
		frame := func(l carrier.Lane, text string) {
			d.frame(segment.Frame{From: "a", Lane: l, Bytes: []byte(text)})
		}
		d.event(linkEvent{kind: linkUp})
		d.event(linkEvent{kind: memberUp, member: carrier.Member{Peer: "a"}})
		frame(carrier.News, "one")
		frame(carrier.Repair, "two")
		frame(carrier.News, "three")
		want(1, "up")
		want(1, "member a")
		want(0, "a/0 one", "a/1 two")
		d.event(linkEvent{kind: memberDown, member: carrier.Member{Peer: "a"}})
		d.event(linkEvent{kind: linkDown})
		want(1, "gone a")
		want(0) // two frames are with the handler still; the third is dropped
		close(h.frames)
		want(1, "down")
		d.close()
		want(0)
	})
}

func TestFramesOfALinkThatIsDownAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &slow{next: make(chan struct{}), frames: make(chan struct{})}
		d := newDelivery(h, "segment:eth0")
		d.event(linkEvent{kind: linkUp})
		synctest.Wait() // the handler is in LinkUp
		d.event(linkEvent{kind: memberUp, member: carrier.Member{Peer: "a"}})
		d.frame(segment.Frame{From: "a", Bytes: []byte("queued")})
		d.event(linkEvent{kind: memberDown, member: carrier.Member{Peer: "a"}})
		d.event(linkEvent{kind: linkDown})
		close(h.next) // all calls return at once
		close(h.frames)
		d.close()
		if want := []string{"up", "member a", "gone a", "down"}; !slices.Equal(h.calls, want) {
			t.Errorf("called %q, want %q", h.calls, want)
		}
	})
}

// TestSmallFramesThatWaitAreBounded has a member send frames of one byte while
// the handler is busy.
func TestSmallFramesThatWaitAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &slow{next: make(chan struct{}), frames: make(chan struct{})}
		d := newDelivery(h, "segment:eth0")
		for range undeliveredMaxBytes/pendingBytes + 10 {
			d.frame(segment.Frame{From: "a", Bytes: []byte{1}})
		}
		synctest.Wait()
		if waiting := len(d.lanes[carrier.News].frames); waiting > undeliveredMaxBytes/pendingBytes || d.lost() == 0 {
			t.Errorf("%d frames wait, %d were dropped", waiting, d.lost())
		}
		const block = 1 << 20 // what each keeps in memory
		for range undeliveredMaxBytes / block {
			d.frame(segment.Frame{From: "a", Lane: carrier.Repair, Bytes: []byte{1}, Spare: block})
		}
		synctest.Wait() // the first one is with the handler
		if waiting := len(d.lanes[carrier.Repair].frames); waiting >= undeliveredMaxBytes/block {
			t.Errorf("%d frames wait that keep a block each", waiting)
		}
		d.event(linkEvent{kind: linkDown})
		close(h.next)
		close(h.frames)
		d.close()
	})
}

// TestEventsThatWaitAreBounded has members come, change and go while the handler is busy.
func TestEventsThatWaitAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &slow{next: make(chan struct{}), frames: make(chan struct{})}
		close(h.frames)
		d := newDelivery(h, "segment:eth0")
		member := func(kind eventKind, peer wire.PeerID, anew bool) {
			d.event(linkEvent{kind: kind, member: carrier.Member{Peer: peer}, anew: anew})
		}
		d.event(linkEvent{kind: linkUp})
		member(memberUp, "old", true)
		synctest.Wait()
		h.next <- struct{}{}
		synctest.Wait() // the handler is told of old
		for i := range 1000 {
			member(memberUp, "old", false)
			member(memberDown, "old", false)
			member(memberUp, "old", true)
			stranger := wire.PeerID(fmt.Sprint("stranger ", i))
			member(memberUp, stranger, true)
			member(memberUp, stranger, false)
			member(memberDown, stranger, false)
			member(memberUp, "new", i == 0)
		}
		d.frame(segment.Frame{From: "new", Bytes: []byte("between")})
		member(memberDown, "new", false) // is not taken back: the frame came before
		for range 1000 {
			d.event(linkEvent{kind: linkDown}) // the frame is dropped
			d.event(linkEvent{kind: linkUp})
			member(memberUp, "new", true)
			member(memberDown, "new", false)
			member(memberUp, "last", true)
			member(memberDown, "last", false)
			member(memberUp, "last", true)
		}
		d.frame(segment.Frame{From: "last", Bytes: []byte("one")})
		synctest.Wait()
		if len(d.events) > 10 {
			t.Errorf("%d events wait", len(d.events))
		}
		close(h.next)
		synctest.Wait()
		d.close()
		want := []string{
			"up", "member old", "gone old", "member old", "member new", "gone new", "down", "up", "member last", "last/0 one",
		}
		if !slices.Equal(h.calls, want) {
			t.Errorf("called %q, want %q", h.calls, want)
		}
	})
}

// TestAFrameDoesNotWaitForWhatWasTakenBack has a member come and go before the frame of another.
func TestAFrameDoesNotWaitForWhatWasTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &slow{next: make(chan struct{}), frames: make(chan struct{})}
		d := newDelivery(h, "segment:eth0")
		d.event(linkEvent{kind: linkUp})
		synctest.Wait() // the handler is in LinkUp
		d.event(linkEvent{kind: memberUp, member: carrier.Member{Peer: "fleeting"}, anew: true})
		d.event(linkEvent{kind: memberDown, member: carrier.Member{Peer: "fleeting"}})
		d.frame(segment.Frame{From: "a", Bytes: []byte("one")})
		close(h.frames)
		close(h.next)
		time.Sleep(time.Second)
		d.close()
		if want := []string{"up", "a/0 one"}; !slices.Equal(h.calls, want) {
			t.Errorf("called %q, want %q", h.calls, want)
		}
	})
}

// named is a handler that is told the segment.
type named struct{ slow }

func (n *named) SegmentFrame(segment, from wire.PeerID, _ carrier.Lane, b []byte) {
	n.call("%s by %s: %s", b, segment, from)
}

func TestTheHandlerIsToldTheSegment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &named{}
		d := newDelivery(h, "segment:eth1")
		d.frame(segment.Frame{From: "a", Bytes: []byte("one")})
		synctest.Wait()
		d.close()
		if want := []string{"one by segment:eth1: a"}; !slices.Equal(h.calls, want) {
			t.Errorf("called %q, want %q", h.calls, want)
		}
	})
}
