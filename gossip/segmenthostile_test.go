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

// A member that claims what is missing keeps a gap open while it can be asked. On a segment that
// is not in use it cannot, and the gap was never reported: nothing of the author's came any more.
func TestAClaimOfAMemberThatIsNotAskedKeepsNoGapOpen(t *testing.T) {
	n, nodes := lan(t, 27, 3, nil)
	a, b, m := nodes[0], nodes[1], nodes[2]
	n.connect(a, m)
	a.withGap("x")
	n.run(time.Second)
	m.mute = true
	n.connect(a, b)
	n.run(time.Second)
	b.core.ReceiveFrom(n.segment.name, m.id, &wire.Have{Topic: "x", Heads: []wire.Head{
		{Author: a.signer.Author(), Head: wire.Mark{Epoch: a.epoch, Seq: 100}},
	}})
	b.step()
	n.run(2 * time.Minute)
	if s := b.segmentState(); s.Active || s.Members != 2 {
		t.Fatalf("the segment is %+v", s)
	}
	n.expect("x", 6, b)
}

// anybody says what comes to its mind, of topics, authors and batches that there are.
type anybody struct {
	n       *network
	nodes   []*node
	ids     []wire.PeerID // the nodes', and some that nobody has
	topics  []string
	batches []*wire.Batch
}

func (a *anybody) number(most int) int { return a.n.rng.IntN(most) }
func (a *anybody) id() wire.PeerID     { return a.ids[a.number(len(a.ids))] }
func (a *anybody) topic() string       { return a.topics[a.number(len(a.topics))] }
func (a *anybody) yes() bool           { return a.number(2) == 0 }
func (a *anybody) batch() *wire.Batch  { return a.batches[a.number(len(a.batches))] }
func (a *anybody) node() *node         { return a.nodes[a.number(len(a.nodes))] }
func (a *anybody) author() wire.Author { return a.node().signer.Author() }
func (a *anybody) time() wire.Time {
	return a.node().hlc.Add(time.Duration(a.number(40)-30) * time.Second)
}

func (a *anybody) short() (list []wire.ShortID) {
	return []wire.ShortID{a.batch().ID.Short(), {1, byte(a.number(9))}}
}

func (a *anybody) mark() wire.Mark {
	return wire.Mark{Epoch: a.node().epoch + wire.Epoch(a.number(3)-1), Seq: uint64(a.number(60))}
}

func (a *anybody) presence() *wire.Presence {
	p := &wire.Presence{Any: a.yes(), Cut: a.time(), Filters: uint32(a.number(3))}
	for range a.number(4) {
		p.Topics = append(p.Topics, wire.TopicTag{Tag: wire.TagOf(a.topic()), Digest: uint32(a.number(2))})
		p.Peers = append(p.Peers, a.id().Tag())
	}
	return p
}

func (a *anybody) message() wire.Message {
	resume := []wire.Resume{{ID: a.batch().ID.Short(), Offset: uint32(a.number(99))}}
	switch a.number(22) {
	case 0:
		return &wire.Hello{Mine: uint64(a.number(4)), Yours: uint64(a.number(4))}
	case 1:
		return &wire.Interest{Add: []string{a.topic(), "*"}, Remove: []string{a.topic()}}
	case 2:
		return &wire.Topics{Add: []wire.TopicEntry{{Name: a.topic()}}, Remove: []string{a.topic()}}
	case 3:
		return &wire.Link{Topic: a.topic(), Up: a.yes()}
	case 4, 5:
		return &wire.Have{Topic: a.topic(), Heads: []wire.Head{
			{Author: a.author(), Base: a.mark(), Head: a.mark(), Number: uint32(a.number(3))},
			{Author: a.author(), Head: a.mark()},
		}}
	case 6:
		return &wire.Advance{Heads: []wire.AdvancedHead{{Number: uint32(a.number(4)), Seq: uint64(a.number(60))}}}
	case 7:
		return &wire.Graft{Topic: a.topic(), Author: a.author()}
	case 8:
		return &wire.Prune{Topic: a.topic(), Author: a.author()}
	case 9, 10:
		return &wire.Want{
			ID: uint32(a.number(9)), Topic: a.topic(), Author: a.author(), After: a.mark(), Upto: a.mark(),
			MaxBytes: uint32(a.number(9999)), Resume: resume,
		}
	case 11:
		return &wire.WantIDs{ID: uint32(a.number(9)), Topic: a.topic(), IDs: a.short(), MaxBytes: 9999, Resume: resume}
	case 12:
		return &wire.Served{ID: uint32(a.number(99)), More: a.yes()}
	case 13:
		return &wire.Heartbeat{Wall: a.time(), Floor: a.time(), Cut: a.time(), Digest: uint64(a.number(3))}
	case 14:
		return &wire.TopicDigests{Floor: a.time(), Cut: a.time(), Nodes: []wire.TopicDigest{
			{Depth: uint32(a.number(17)), Topics: 1},
		}}
	case 15:
		low := a.time()
		return &wire.Open{
			Session: uint32(a.number(9)), Topic: a.topic(), Nonce: 7, Floor: low, Cut: low.Add(time.Minute), Plain: a.yes(),
			Ranges: []wire.RangeDigest{{Low: low, Count: uint32(a.number(9)), Digest: 1}},
		}
	case 16:
		return &wire.Answer{Session: uint32(a.number(9)), Coded: []byte{1}, Empty: []byte{byte(a.number(4))}, More: a.yes()}
	case 17:
		return &wire.Resolve{Session: uint32(a.number(9)), Short: []uint64{1, 2}, Done: a.yes()}
	case 18:
		return &wire.Offer{Topic: a.topic(), IDs: a.short()}
	case 19:
		return &wire.Trimmed{Topic: a.topic(), Marks: []wire.AuthorMark{{Author: a.author(), Mark: a.mark()}}}
	case 20:
		return &wire.Refuse{Topic: a.topic(), Author: a.author(), Mark: a.mark(), Reason: wire.Reason(a.number(7))}
	default:
		return &wire.Push{Batch: a.batch(), Repair: a.yes()}
	}
}

// say has somebody say something to x, over the segment or a stream.
func (a *anybody) say(x *node, segment wire.PeerID) {
	from, m := a.id(), a.message()
	if push, ok := m.(*wire.Push); ok && x.pending[push.Batch.ID] == nil {
		x.pending[push.Batch.ID] = push.Batch
	}
	if segment == "" {
		x.core.Receive(from, m)
	} else {
		x.core.ReceiveFrom(segment, from, m)
	}
}

// Whatever members and peers say, in whatever order they come and go, and whatever becomes of
// segments and outboxes meanwhile: a node goes on.
func TestMembersMaySayAnything(t *testing.T) {
	for seed := range uint64(*seedsFlag / 4) {
		mode := []Multicast{MulticastFallback, MulticastAlways}[seed%2]
		n, nodes := lan(t, 2000+seed, 4, func(c *Config) { c.Multicast = mode })
		x := nodes[0]
		a := &anybody{n: n, nodes: nodes, topics: []string{"x", "y", "z.1", "z.2"}}
		n.connect(nodes[1], nodes[2])
		x.interest("z.*")
		for i, y := range nodes {
			a.ids = append(a.ids, y.id)
			for _, topic := range a.topics {
				a.batches = append(a.batches, y.seal(topic, 1+i, wire.Prev{}), y.publish(topic, 1))
			}
		}
		for i := range byte(6) {
			a.ids = append(a.ids, wire.Author{3, i}.PeerID())
		}
		fakes := a.ids[len(nodes):]
		names := []wire.PeerID{n.segment.name, n.segment.name, "segment:other"}
		for range 3000 {
			c, name, fake := x.core, names[n.rng.IntN(len(names))], fakes[n.rng.IntN(len(fakes))]
			switch n.rng.IntN(24) {
			case 0:
				c.MemberUp(name, fake, a.presence())
			case 1:
				c.MemberDown(name, fake)
			case 2:
				c.PeerUp(fake, PeerInfo{Segment: name})
			case 3:
				c.PeerUp(fake, PeerInfo{})
			case 4:
				c.PeerDown(fake)
			case 5:
				c.SegmentDown("segment:other")
			case 6:
				c.SendFailed(name, News, []wire.BatchID{a.batch().ID})
				c.SendFailed(fake, Repair, []wire.BatchID{a.batch().ID})
			case 7:
				c.SendDrained(name)
				c.SendDrained(fake)
				c.SegmentSent(name)
			case 8:
				c.RemoveInterest(a.topic())
			case 9:
				c.AddInterest([]string{a.topic(), "*"}[n.rng.IntN(2)])
			case 10:
				x.publish(a.topic(), 1)
			case 11, 12:
				x.step()
				n.run(time.Duration(n.rng.Int64N(int64(300 * time.Millisecond))))
			case 13, 14, 15:
				a.say(x, "")
			default:
				a.say(x, name)
			}
		}
		n.run(time.Minute)
		for range 3 {
			x.step()
			n.run(time.Second)
		}
	}
}
