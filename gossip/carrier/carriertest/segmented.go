package carriertest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/wire"
)

// The part of the suite for one-to-many carriers, which are [carrier.Segmented].

// MemberUp implements [carrier.MemberHandler].
func (r *recorder) MemberUp(m carrier.Member) { r.memberCall(m, true) }

// MemberDown implements [carrier.MemberHandler].
func (r *recorder) MemberDown(m carrier.Member) { r.memberCall(m, false) }

func (r *recorder) memberCall(m carrier.Member, up bool) {
	r.mu.Lock()
	if r.over || !r.links[m.Segment] {
		r.t.Errorf("a call about member %q of %q: closed %v, the link is up %v",
			m.Peer, m.Segment, r.over, r.links[m.Segment])
	}
	if !up && !r.members[m.Segment][m.Peer] {
		r.t.Errorf("MemberDown of %q, which is not up", m.Peer)
	}
	if r.members[m.Segment] == nil {
		r.members[m.Segment] = map[wire.PeerID]bool{}
	}
	if up {
		r.members[m.Segment][m.Peer], r.known[m.Peer] = true, true
	} else {
		delete(r.members[m.Segment], m.Peer)
	}
	r.mu.Unlock()
	r.events <- event{up: up, down: !up, peer: m.Peer, member: &m}
}

// meet waits until n members have come up.
func (r *recorder) meet(t *testing.T, n int) {
	t.Helper()
	met := map[wire.PeerID]bool{}
	for len(met) < n {
		e := r.next(t)
		if e.member == nil || !e.up {
			t.Fatalf("got %+v, want MemberUp", e)
		}
		met[e.peer] = true
	}
}

// member waits for a call about a member; frames and repeated calls may come before.
func (r *recorder) member(t *testing.T, what string, is func(event) bool) {
	t.Helper()
	for end := time.Now().Add(patience); ; {
		if e := r.next(t); e.member != nil && is(e) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("not told that %s", what)
		}
	}
}

// segmented returns carrier i as what a one-to-many carrier must be.
func (r *rig) segmented(t *testing.T, i int) carrier.Segmented {
	t.Helper()
	s, ok := r.Carriers[i].(carrier.Segmented)
	if !ok {
		t.Fatalf("%T is one-to-many and not a carrier.Segmented", r.Carriers[i])
	}
	return s
}

func testMembers(t *testing.T, f Factory) {
	r := start(t, f, 3)
	for i := range r.Carriers {
		var got, want []wire.PeerID
		for _, m := range r.segmented(t, i).Members() {
			got = append(got, m.Peer)
			if m.Segment != r.Segment {
				t.Errorf("member %q is of segment %q, want %q", m.Peer, m.Segment, r.Segment)
			}
		}
		for j, p := range r.Peers {
			if j != i {
				want = append(want, p)
			}
		}
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("carrier %d hears %q, want %q", i, got, want)
		}
	}
	text := bytes.Repeat([]byte{7}, carrier.AnnounceMaxBytes)
	for _, say := range [][]byte{[]byte("first"), text, nil} {
		mine := bytes.Clone(say)
		r.segmented(t, 0).Announce(mine)
		for i := range mine {
			mine[i] = 'X' // the carrier has its own copy
		}
		for i, h := range r.handlers[1:] {
			h.member(t, "the text changed", func(e event) bool {
				return e.up && e.peer == r.Peers[0] && bytes.Equal(e.member.Text, say)
			})
			for _, m := range r.segmented(t, 1+i).Members() {
				if m.Peer == r.Peers[0] && !bytes.Equal(m.Text, say) {
					t.Errorf("Members tells %q, MemberUp %q", m.Text, say)
				}
			}
		}
	}
	defer func() {
		if recover() == nil {
			t.Errorf("an announcement of %d bytes was taken", len(text)+1)
		}
	}()
	r.segmented(t, 0).Announce(append(text, 7))
}

func testAddressed(t *testing.T, f Factory) {
	r := start(t, f, 3)
	const frames = 20
	size := min(5000, r.Carriers[0].Traits().MTU)
	for i := range frames {
		lane := carrier.Lane(i % carrier.Lanes)
		want := bytes.Repeat([]byte{byte(i)}, 1+i*(size-1)/frames)
		if err := r.Carriers[0].Send(t.Context(), r.Peers[1], lane, want[:1], want[1:]); err != nil {
			t.Fatalf("Send: %v", err)
		}
		e := r.handlers[1].frame(t)
		if e.peer != r.Peers[0] || e.lane != lane || !bytes.Equal(e.frame, want) {
			t.Fatalf("got %d bytes on lane %d from %q, want %d", len(e.frame), e.lane, e.peer, len(want))
		}
	}
	for lane := range carrier.Lanes {
		r.send(t, 0, 2, carrier.Lane(lane), fmt.Appendf(nil, "to all %d", lane))
	}
	for range carrier.Lanes {
		e := r.handlers[2].frame(t)
		if want := fmt.Sprintf("to all %d", e.lane); string(e.frame) != want {
			t.Errorf("another one's frame of %d bytes came on lane %d", len(e.frame), e.lane)
		}
	}
	err := r.Carriers[0].Send(t.Context(), r.Peers[0], carrier.News, []byte("x"))
	if !errors.Is(err, carrier.ErrNoLink) {
		t.Errorf("Send to itself: %v, want ErrNoLink", err)
	}
}

func testMembersInPairs(t *testing.T, f Factory) {
	r := start(t, f, 3)
	r.send(t, 2, 0, carrier.News, []byte("x"))
	for _, h := range r.handlers[:2] {
		h.frame(t)
	}
	if err := r.Carriers[2].Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	for i, h := range r.handlers[:2] {
		h.member(t, "a member closed", func(e event) bool { return e.down && e.peer == r.Peers[2] })
		for _, m := range r.segmented(t, i).Members() {
			if m.Peer == r.Peers[2] {
				t.Errorf("Members tells of %q, which is down", m.Peer)
			}
		}
	}
	err := r.Carriers[0].Send(t.Context(), r.Peers[2], carrier.News, []byte("x"))
	if !errors.Is(err, carrier.ErrNoLink) {
		t.Errorf("Send to a member that is gone: %v, want ErrNoLink", err)
	}
	for i, c := range r.Carriers {
		if err := c.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
		if m := r.segmented(t, i).Members(); len(m) != 0 {
			t.Errorf("a closed carrier tells of members %v", m)
		}
		h := r.handlers[i]
		h.mu.Lock()
		for segment, up := range h.members {
			if len(up) > 0 {
				t.Errorf("members of %q had no MemberDown when Close returned: %v", segment, up)
			}
		}
		h.mu.Unlock()
	}
}
