package driver

import (
	"slices"
	"testing"
	"time"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/wire"
)

// linked reports whether x has a link with y.
func (x *node) linked(y *node) bool {
	return slices.ContainsFunc(x.Peers(), func(p Peer) bool { return p.ID == y.id })
}

// line starts three nodes with interest in a topic, of which the second knows the others.
func (r *rig) line(change ...func(*Config)) (a, b, c *node) {
	r.t.Helper()
	a, b, c = r.start(1, change...), r.start(2, change...), r.start(3, change...)
	for _, x := range []*node{a, b, c} {
		if err := x.AddInterest(testTopic); err != nil {
			r.t.Fatal(err)
		}
	}
	r.net.Connect(a.id, b.id)
	r.net.Connect(b.id, c.id)
	return a, b, c
}

func TestPeersOfAPeerAreFound(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a, b, c := r.line()
		time.Sleep(10 * time.Second)
		if !a.linked(c) || !c.linked(a) {
			t.Errorf("a and c have not found each other: %+v", nonzero(b.Stats().Counters()))
		}
		if s := a.Stats(); s.Gossip.DialsWished+c.Stats().Gossip.DialsWished == 0 || s.FalseRecords != 0 {
			t.Errorf("figures of a: %+v", nonzero(s.Counters()))
		}
		b.close()
		a.publish("a", 0, 3)
		c.wantAll(5*time.Second, map[string]int{"a": 3})
	})
}

func TestWithoutPeerExchangeNodesStayWithWhomTheyKnow(t *testing.T) {
	off := func(c *Config) { c.Gossip.NoPeerExchange = true }
	for name, change := range map[string][]func(*Config){"all": {off, off, off}, "the one between": {nil, off, nil}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				i := 0
				a, _, c := r.line(func(cfg *Config) {
					if f := change[i]; f != nil {
						f(cfg)
					}
					i++
				})
				time.Sleep(5 * time.Minute)
				if a.linked(c) {
					t.Error("a and c were told of each other")
				}
			})
		})
	}
}

func TestNodesThatWereCutApartFindEachOtherAgain(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a, b, c := r.line()
		time.Sleep(10 * time.Second)
		r.net.Cut([]wire.PeerID{a.id}, []wire.PeerID{b.id, c.id})
		time.Sleep(30 * time.Second)
		if a.linked(b) || a.linked(c) {
			t.Fatal("not cut")
		}
		r.net.Heal()
		time.Sleep(time.Minute)
		if !a.linked(b) || !a.linked(c) {
			t.Errorf("a is not back: %+v", nonzero(a.Stats().Counters()))
		}
	})
}

// TestFalseRecordsEndTheConnection tells a node records that nobody signed, or
// somebody else, until it has enough.
func TestFalseRecordsEndTheConnection(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a := r.start(1)
		if err := a.AddInterest(testTopic); err != nil {
			t.Fatal(err)
		}
		liar, other := r.puppet(8, a), peerOf(testKey(9))
		liar.say(a, &wire.Hello{Mine: 1}, &wire.Interest{Add: []string{testTopic}})
		signed := liar.Carrier.(carrier.Dialer).Record()
		for range a.cfg.Gossip.DemeritsMax / 2 {
			liar.say(a,
				&wire.Shuffle{Topic: testTopic, Records: []wire.Record{{Peer: other, Signed: []byte("nothing")}}},
				&wire.Shuffle{Topic: testTopic, Records: []wire.Record{{Peer: other, Signed: signed}}})
		}
		if len(a.Peers()) != 0 {
			t.Error("the liar is still connected")
		}
		if s := a.Stats(); s.FalseRecords != uint64(a.cfg.Gossip.DemeritsMax) || s.Gossip.Passive != 0 {
			t.Errorf("%d false records counted, %d peers known", s.FalseRecords, s.Gossip.Passive)
		}
	})
}

func TestAFrameOfManyRecordsIsNotVerified(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a := r.start(1)
		m := &wire.Shuffle{Topic: testTopic}
		for range wire.RecordsMax {
			m.Records = append(m.Records, wire.Record{Peer: peerOf(testKey(9)), Signed: []byte("nothing")})
		}
		var frame []byte
		for range recordsMax/wire.RecordsMax + 1 {
			frame = wire.AppendMessage(frame, m)
		}
		(&receiver{d: a.Driver, carrier: a.cfg.Carriers[0]}).Frame(peerOf(testKey(8)), carrier.News, frame)
		if s := a.Stats(); s.Malformed != 1 {
			t.Errorf("%d frames malformed, want 1", s.Malformed)
		}
	})
}
