package gossip

import (
	"testing"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// On a wire with more members than membersMax each is a peer all the same, and the core knows
// nothing of those beyond. One of them asked for what this node holds, and crashed it: nothing
// may be sent to it, and the answer took another's send for its own, or none where there was none.
func TestAMemberBeyondTheBoundMayAsk(t *testing.T) {
	n, nodes := lan(t, 26, 1, nil)
	x := nodes[0]
	x.publish("x", 1)
	n.run(time.Second)
	c, name := x.core, x.core.lan.list[0].name
	var last wire.PeerID
	for i := range membersMax + 1 {
		last = wire.Author{2, byte(i >> 8), byte(i)}.PeerID()
		c.MemberUp(name, last, &wire.Presence{})
		c.PeerUp(last, PeerInfo{Segment: name})
	}
	if s := c.Stats(); s.MembersRefused != 1 {
		t.Fatalf("%d members were refused", s.MembersRefused)
	}
	c.ReceiveFrom(name, last, &wire.Interest{Add: []string{"x"}})
	c.Take()
	c.ReceiveFrom(name, last, &wire.Want{
		ID: 1, Topic: "x", Author: x.signer.Author(), Upto: wire.Mark{Epoch: x.epoch, Seq: 1}, MaxBytes: 1 << 16,
	})
	for _, s := range c.Take().Send {
		if s.To == last {
			t.Errorf("it was sent %+v", s)
		}
	}
	if s := c.Stats(); s.WantsServed != 1 || s.MembersUntold == 0 {
		t.Errorf("%+v", s)
	}
}
