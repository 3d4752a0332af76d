package gossip

import (
	"fmt"
	"testing"
	"time"

	"github.com/busnode/busnode/gossip/reconcile"
	"github.com/busnode/busnode/gossip/wire"
)

// apart returns two nodes that hold different events of many authors, more
// than a greeting tells of.
func apart(t *testing.T, seed uint64, cfg Config, count int) (n *network, a, b *node) {
	n = newNetwork(t, seed)
	a, b = n.add("a", cfg).interest("x"), n.add("b", cfg).interest("x")
	for _, x := range []*node{a, b} {
		for i := range count {
			s := n.add(x.name+string(rune('0'+i%10))+string(rune('0'+i/10%10))+string(rune('0'+i/100)), cfg)
			batch := s.seal("x", 1, wire.Prev{})
			x.store(batch)
			n.nodes = n.nodes[:2] // it was heard of once
		}
	}
	n.run(10 * time.Second)
	for _, x := range []*node{a, b} {
		x.start()
		x.interest("x")
	}
	return n, a, b
}

// store puts a batch into the log of a node that is to be started anew.
func (x *node) store(b *wire.Batch) {
	x.order = append(x.order, b.ID)
	x.log[b.ID] = &logged{batch: b, released: true}
	x.topics[b.Header.Topic] = append(x.topics[b.Header.Topic], record{id: b.ID})
}

func TestAnExchangeFindsWhatNoHeadTells(t *testing.T) {
	n, a, b := apart(t, 70, testConfig(), 300)
	n.connect(a, b)
	n.run(15 * time.Second)
	n.expect("x", 600, a, b)
	if n.sent["*wire.Open"] == 0 || n.sent["*wire.Cells"] == 0 {
		t.Errorf("no exchange by symbols: %v", n.sent)
	}
	if n.batches > 660 {
		t.Errorf("%d batches are sent to repair 600", n.batches)
	}
	n.quiet("both hold all", a, b)
}

// A peer whose rules differ from ours for good: what it does not take, it does
// not take, and what one has the other lacks for ever.
func TestExchangesWithAPeerOfOtherRulesBackOffToOneAnHour(t *testing.T) {
	n, a, b := apart(t, 71, testConfig(), 300)
	b.deaf = func(*wire.Batch) bool { return true }
	n.connect(a, b)
	n.run(unlessRace[time.Duration](6, 2) * time.Hour)
	before := a.core.Stats().Sessions + b.core.Stats().Sessions
	if before > 40 {
		t.Errorf("%d exchanges in the first six hours", before)
	}
	hours := unlessRace(10, 2)
	n.run(time.Duration(hours) * time.Hour)
	if got := int(a.core.Stats().Sessions + b.core.Stats().Sessions - before); got > 2*hours+2 || got == 0 {
		t.Errorf("%d exchanges in %d hours, want about one an hour and side", got, hours)
	}
	// When the rules agree again, so do the nodes.
	b.deaf = nil
	n.run(2 * time.Hour)
	n.expect("x", 600, a, b)
	b.publish("x", 1)
	n.run(time.Second)
	n.expect("x", 601, a, b)
}

// liar answers Opens as a node that holds made-up batches would.
type liar struct {
	*node
	set      reconcile.Set
	garble   func(*wire.Cells) // what it does to its symbols
	sessions map[uint32]*reconcile.Responder
	opens    int
}

func (n *network) addLiar(count int) *liar {
	l := &liar{node: n.add("liar", testConfig()).interest("x"), sessions: map[uint32]*reconcile.Responder{}}
	for i := range count {
		id := madeUp(uint32(i), 7)
		l.set.Insert(reconcile.Item{
			Time: testEpoch + wire.Time(i)*1000,
			ID:   wire.BatchID(append(id[:], id[:]...)),
		})
	}
	return l
}

// begin lets the liar speak after the two have met.
func (l *liar) begin(to *node) {
	l.net.connect(l.node, to)
	l.net.run(90 * time.Millisecond)
	p, q := to.core.peers[l.id], l.core.peers[to.id]
	if !p.topics[0].common() || !q.topics[0].common() {
		l.net.t.Fatal("the topic is not in common")
	}
	link := to.core.linkKey(p)
	l.puppet = func(from *node, m wire.Message) {
		switch m := m.(type) {
		case *wire.Heartbeat:
			m.Digest++
			l.say(from, m)
		case *wire.TopicDigests:
			for i := range m.Nodes {
				m.Nodes[i].Digest++
			}
			l.say(from, m)
		case *wire.Open:
			l.opens++
			r, answer, cells, offered := reconcile.Respond(l.set.View(nil), link, 5, m, reconcile.DefaultLimits())
			l.sessions[m.Session] = r
			l.say(from, answer)
			l.sayCells(from, cells)
			l.offer(from, offered)
		case *wire.More:
			cells, err := l.sessions[m.Session].More(l.set.View(nil), m)
			if err != nil {
				l.net.t.Errorf("an honest More is refused: %v", err)
			}
			l.sayCells(from, cells)
		case *wire.Resolve:
			l.offer(from, l.sessions[m.Session].Resolve(m.Short))
		}
	}
}

func (l *liar) sayCells(to *node, cells []*wire.Cells) {
	for _, c := range cells {
		if l.garble != nil {
			l.garble(c)
		}
		l.say(to, c)
	}
}

func (l *liar) offer(to *node, items []reconcile.Item) {
	for len(items) > 0 {
		m := &wire.Offer{Topic: "x"}
		for len(items) > 0 && len(m.IDs) < wire.ShortIDsMax {
			m.IDs = append(m.IDs, items[0].ID.Short())
			items = items[1:]
		}
		l.say(to, m)
	}
}

func TestAPeerThatClaimsAndNeverServesIsLeftAlone(t *testing.T) {
	n, a, b := apart(t, 72, testConfig(), 300)
	l := n.addLiar(20_000)
	l.begin(a)
	n.run(30 * time.Second)
	if l.opens == 0 || a.core.Stats().Demerits == 0 {
		t.Errorf("%d exchanges with a liar, %d demerits", l.opens, a.core.Stats().Demerits)
	}
	n.connect(a, b)
	n.run(15 * time.Second)
	n.expect("x", 600, a, b)
	n.run(unlessRace[time.Duration](12, 1) * time.Hour)
	if l.opens > 40 {
		t.Errorf("%d exchanges with a liar in twelve hours", l.opens)
	}
	if s := a.core.Stats(); s.WantsSent > 600 {
		t.Errorf("a asked %d times in twelve hours", s.WantsSent)
	}
}

func TestSymbolsThatDoNotDecodeLeadToAnotherKeyAndThenToAPlainList(t *testing.T) {
	n, a, _ := apart(t, 73, testConfig(), 300)
	l := n.addLiar(20_000)
	l.garble = func(c *wire.Cells) {
		for i := range c.Symbols {
			c.Symbols[i].Sum ^= 0x5555
			c.Symbols[i].Check ^= 0x77
		}
	}
	l.begin(a)
	n.run(5 * time.Second)
	s := a.core.Stats()
	if s.SessionsStuck < 2 {
		t.Errorf("%d of %d exchanges are stuck, want two with symbols; %+v", s.SessionsStuck, s.Sessions, s)
	}
	n.run(unlessRace[time.Duration](12, 1) * time.Hour)
	if l.opens > 120 {
		t.Errorf("%d exchanges in twelve hours", l.opens)
	}
	a.publish("x", 1) // it lives
	n.run(time.Second)
}

func TestAPeerThatOpensWithoutEndIsPaidForWithItsShareAlone(t *testing.T) {
	cfg := testConfig()
	cfg.WorkMax = 1 << 16
	n := newNetwork(t, 74)
	a := n.add("a", cfg).interest("x")
	l := n.addLiar(1000)
	l.begin(a)
	a.restoreMany("x", 20_000, time.Millisecond)
	a.core.Restored()
	n.run(5 * time.Second)
	before := a.core.Stats()
	const seconds = 20
	for range seconds * 50 {
		open := &wire.Open{Session: l.net.rng.Uint32(), Topic: "x", Nonce: l.net.rng.Uint64(), Cut: a.wall()}
		open.Ranges = []wire.RangeDigest{{Low: 0, Count: 5, Digest: 1}}
		l.say(a, open)
		n.run(time.Second / 50)
	}
	s := a.core.Stats()
	most := uint64(cfg.WorkMax + seconds*cfg.WorkMax/workPeerShare + 2*20_000)
	if got := s.ItemsHashed - before.ItemsHashed; got > most || got == 0 {
		t.Errorf("%d items are hashed for one peer in %d s, want at most %d", got, seconds, most)
	}
	if s.OpensRefused == before.OpensRefused {
		t.Error("no Open is refused")
	}
	if got := len(a.core.peers[l.id].session.answered); got > sessionsMax {
		t.Errorf("%d exchanges are kept for one peer, want at most %d", got, sessionsMax)
	}
	b := n.add("b", cfg)
	n.connect(a, b)
	if got := a.core.allowance(a.core.peers[b.id]); got < cfg.WorkMax/2 {
		t.Errorf("another peer may have %d items hashed", got)
	}
}

func TestAPeerThatIsAlwaysBusyHoldsNothingBack(t *testing.T) {
	n, a, b := apart(t, 75, testConfig(), 300)
	l := n.add("liar", testConfig()).interest("x")
	n.connect(l, a)
	n.run(90 * time.Millisecond)
	busy := func(from *node, id uint32) {
		n.at(4*time.Second, func() { l.say(from, &wire.Served{ID: id, More: true}) })
	}
	l.puppet = func(from *node, m wire.Message) {
		switch m := m.(type) {
		case *wire.Want:
			busy(from, m.ID)
		case *wire.WantIDs:
			busy(from, m.ID)
		}
	}
	a.core.expectOffers(a.core.peers[l.id])
	offer := &wire.Offer{Topic: "x"}
	for _, id := range b.order {
		offer.IDs = append(offer.IDs, id.Short())
	}
	l.say(a, offer)
	n.run(time.Minute) // no head is told of what is older
	n.connect(a, b)
	n.run(2 * time.Minute)
	n.expect("x", 600, a, b)
}

// More topics differ than exchanges run at once, and both sides find them.
func TestTopicsThatWaitForAnExchangeAreDealtWith(t *testing.T) {
	const topics, authors = 40, greetAuthorsMax + 1
	n := newNetwork(t, 76)
	a, b := n.add("a", testConfig()).interest(">"), n.add("b", testConfig()).interest(">")
	for i := range topics * authors {
		var key wire.Author
		copy(key[:], fmt.Sprint("author ", i))
		s := n.addSigner("s", testConfig(), unsigned{key})
		n.nodes = n.nodes[:2]
		a.store(s.seal(fmt.Sprint("t", i%topics), 1, wire.Prev{}))
	}
	n.run(10 * time.Second)
	a.start()
	a.interest(">")
	n.connect(a, b)
	n.run(20 * time.Second)
	got := 0
	for i := range topics {
		got += b.events(fmt.Sprint("t", i))
	}
	if s := b.core.Stats(); got != topics*authors || s.Repaired == 0 {
		t.Errorf("%d of %d events came; %+v", got, topics*authors, s)
	}
	for _, p := range []*peer{a.core.peers[b.id], b.core.peers[a.id]} {
		if len(p.session.queue) > 0 {
			t.Errorf("%d topics wait still", len(p.session.queue))
		}
	}
}

func TestAPeerThatHasNamesToldWithoutEndIsStopped(t *testing.T) {
	n := newNetwork(t, 77)
	a := n.add("a", testConfig()).interest("x")
	l := n.addLiar(1000)
	l.begin(a)
	a.restoreMany("x", 50_000, time.Microsecond)
	a.core.Restored()
	n.run(5 * time.Second)
	l.puppet = func(*node, wire.Message) {}
	l.say(a, &wire.Open{
		Session: 99, Topic: "x", Nonce: 4, Cut: a.wall(), Expect: 2000,
		Ranges: []wire.RangeDigest{{Count: 49_000, Digest: 1}},
	})
	n.run(time.Second)
	before := a.core.Stats()
	for range 10 * resolvesMax {
		a.core.Receive(l.id, &wire.Resolve{Session: 99, Short: []uint64{1}})
	}
	s := a.core.Stats()
	if got := s.ItemsHashed - before.ItemsHashed; got == 0 || got > resolvesMax*50_000 {
		t.Errorf("%d items are passed over, in units of hashing, for %d Resolves", got, 10*resolvesMax)
	}
	if s.Demerits == before.Demerits || s.Unsolicited == before.Unsolicited {
		t.Errorf("the exchange goes on; %+v", s)
	}
}

// Each walk between other bounds would mean to hash anew.
func TestAWalkBetweenBoundsThatNoHeartbeatHadIsNotAnswered(t *testing.T) {
	n := newNetwork(t, 78)
	a := n.add("a", testConfig()).interest("x")
	l := n.addLiar(1000)
	l.begin(a)
	n.run(5 * time.Second)
	l.puppet = func(*node, wire.Message) {}
	named := a.core.peers[l.id].beat.named[0] // this one is answered
	for _, at := range []bounds{{1, 2}, {1, 3}, {2, a.wall() - 1}, named} {
		l.say(a, &wire.TopicDigests{Floor: at.floor, Cut: at.cut, Nodes: []wire.TopicDigest{{Digest: 1, Topics: 3}}})
	}
	before := a.core.Stats()
	n.run(200 * time.Millisecond)
	if s := a.core.Stats(); s.Unsolicited-before.Unsolicited != 3 {
		t.Errorf("%d of 3 walks are left aside", s.Unsolicited-before.Unsolicited)
	}
}

// A peer keeps neither an exchange alive by messages that are out of turn nor one
// for ever by any.
func TestAnExchangeEndsWhateverItsPeerSays(t *testing.T) {
	n, a, _ := apart(t, 75, testConfig(), 300)
	l := n.addLiar(20_000)
	l.begin(a)
	honest := l.puppet
	l.puppet = func(from *node, m wire.Message) {
		if open, ok := m.(*wire.Open); ok {
			for i := range 20 {
				n.at(time.Duration(i)*time.Second, func() { l.say(from, &wire.Cells{Session: open.Session, Start: 7}) })
			}
			return
		}
		honest(from, m)
	}
	for a.core.Stats().Sessions == 0 {
		n.run(100 * time.Millisecond)
	}
	n.run(a.cfg.WantTimeout + time.Second)
	if got := a.core.Stats().SessionsFailed; got == 0 {
		t.Error("messages out of turn keep an exchange alive")
	}
}

// Digests between bounds that no honest peer names are not computed for a peer
// again and again.
func TestBoundsThatMoveAreNotHashed(t *testing.T) {
	n := newNetwork(t, 76)
	a := n.add("a", testConfig()).interest("x")
	l := n.addLiar(1)
	l.begin(a)
	a.restoreMany("x", 20_000, time.Millisecond)
	a.core.Restored()
	n.run(10 * time.Second)
	a.mute = true
	cut := a.core.cut()
	for name, beat := range map[string]func(i int) *wire.Heartbeat{
		"floor": func(i int) *wire.Heartbeat { return &wire.Heartbeat{Wall: a.wall(), Floor: wire.Time(i + 1), Cut: cut} },
		"cut": func(i int) *wire.Heartbeat {
			return &wire.Heartbeat{Wall: a.wall(), Cut: wire.Time(testEpoch - 200e9 + i)}
		},
	} {
		n.run(2 * time.Second)
		before := a.core.Stats().BeatsIgnored
		for i := range beatsMax {
			a.core.Receive(l.id, beat(i))
		}
		if got := a.core.Stats().BeatsIgnored - before; got < beatsMax-1 {
			t.Errorf("%s: %d of %d heartbeats at once are ignored, want all but one", name, got, beatsMax)
		}
	}
}
