package bus

import (
	"slices"
	"testing"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/wire"
)

// deafHandler cares for nothing.
type deafHandler struct{}

func (deafHandler) LinkUp(carrier.Link)                     {}
func (deafHandler) LinkDown(wire.PeerID, error)             {}
func (deafHandler) Frame(wire.PeerID, carrier.Lane, []byte) {}

// A member says something anew with each change of what it holds. It was dialled each time,
// whatever had come of the dials before.
func TestAMemberIsFoundWhenItComesOrMoves(t *testing.T) {
	var found []string
	l := &listener{
		Handler: deafHandler{}, addrs: map[memberKey][]string{},
		found: func(_ wire.PeerID, addrs []string) { found = append(found, addrs...) },
	}
	up := func(text, addr string) carrier.Member {
		m := carrier.Member{Peer: "p", Segment: "segment:eth0", Text: []byte(text), Addrs: []string{addr}}
		l.MemberUp(m)
		return m
	}
	up("one", "first")
	up("two", "first")
	m := up("two", "second")
	up("three", "second")
	l.MemberDown(m)
	up("three", "second")
	if want := []string{"first", "second", "second"}; !slices.Equal(found, want) {
		t.Errorf("found %q, want %q", found, want)
	}
	l.MemberDown(m)
	if len(l.addrs) > 0 {
		t.Errorf("%d members are remembered", len(l.addrs))
	}
}
