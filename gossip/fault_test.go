package gossip

import (
	"fmt"
	"testing"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

func TestAGapIsReportedOnlyWhenNobodyClaimsIt(t *testing.T) {
	n := newNetwork(t, 20)
	a, b := n.add("a", testConfig()).interest("x"), n.add("b", testConfig()).interest("x")
	first := a.publish("x", 5)
	// The batch after the first reaches nobody: the author's log loses it.
	hidden := a.seal("x", 2, wire.Prev{Mark: first.Header.End(), Time: first.Header.Time})
	last := a.seal("x", 1, wire.Prev{Mark: hidden.Header.End(), Time: hidden.Header.Time})
	a.inject(last)
	n.connect(a, b)
	n.run(9 * time.Second)
	if got := b.events("x"); got != 5 {
		t.Errorf("b reads %d events before the gap's time, want 5", got)
	}
	n.run(4 * time.Second)
	gap := Gap{"x", a.signer.Author(), hidden.Header.Start(), hidden.Header.End(), GapLost}
	got := b.topics["x"]
	if len(got) != 3 || got[1].gap == nil || *got[1].gap != gap || got[2] != (record{id: last.ID}) {
		t.Fatalf("b reads %+v, want the first batch, %+v and the last", got, gap)
	}
	// Late, but not lost.
	c := n.add("c", testConfig()).interest("x")
	c.log[hidden.ID] = &logged{batch: hidden}
	c.order = append(c.order, hidden.ID)
	c.crash()
	c.start()
	c.interest("x")
	n.connect(b, c)
	n.run(20 * time.Second)
	if got := b.topics["x"]; len(got) != 4 || got[3] != (record{id: hidden.ID, late: true}) {
		t.Errorf("b reads %+v, want the hidden batch last, as late; %+v", got, b.core.Stats())
	}
}

func TestAnOlderEpochIsReleasedFirst(t *testing.T) {
	n := newNetwork(t, 21)
	a := n.add("a", testConfig()).interest("x")
	for range 3 {
		a.publish("x", 2)
	}
	n.run(time.Second)
	a.crash()
	a.start()
	a.interest("x")
	a.publish("x", 2)
	b := n.add("b", testConfig()).interest("x")
	n.connect(a, b)
	n.run(time.Second)
	a.publish("x", 2)
	n.run(time.Second)
	n.expect("x", 10, a, b)
}

func TestEquivocationClosesTheEpochAndSpreads(t *testing.T) {
	n := newNetwork(t, 22)
	a, b := n.add("a", testConfig()).interest("x"), n.add("b", testConfig()).interest("x")
	c, d := n.add("c", testConfig()).interest("x"), n.add("d", testConfig()).interest("x")
	n.connect(a, b)
	n.connect(b, c)
	n.connect(c, d)
	n.run(time.Second)
	one := a.publish("x", 1)
	n.run(time.Second)
	prev := wire.Prev{Mark: one.Header.End(), Time: one.Header.Time}
	two, twin := a.seal("x", 1, prev), a.seal("x", 2, prev)
	a.inject(two)
	n.run(time.Second)
	c.pending[twin.ID] = twin
	c.core.Receive(d.id, &wire.Push{Batch: twin})
	c.step()
	n.run(8 * time.Second) // d, who is taken to have it, gets it by anti-entropy
	for _, x := range []*node{b, c, d} {
		if !x.has(NoticeEquivocation) {
			t.Errorf("%s was not told", x.name)
		}
		if x.log[twin.ID] == nil || x.log[two.ID] == nil || x.log[twin.ID].released {
			t.Errorf("%s keeps not both headers as the proof", x.name)
		}
		x.checkOrder("x")
	}
	if !a.has(NoticeIdentityInUse) {
		t.Error("the author met a batch of its own that it did not sign, and was not told")
	}
	// The next epoch goes on after the closed one.
	n.run(time.Second)
	a.crash()
	a.start()
	a.interest("x")
	n.connect(a, b)
	n.run(time.Second)
	three := a.publish("x", 1)
	n.run(3 * time.Second)
	for _, x := range []*node{b, c, d} {
		if l := x.log[three.ID]; l == nil || !l.released {
			t.Errorf("%s did not release the next epoch", x.name)
		}
	}
}

func TestATwinIsToldThatItsIdentityIsInUse(t *testing.T) {
	n := newNetwork(t, 23)
	a := n.add("a", testConfig()).interest("x")
	b := n.add("b", testConfig()).interest("x")
	n.connect(a, b)
	a.publish("x", 1)
	n.run(10 * time.Second)
	twin := n.addSigner("twin", testConfig(), a.signer).interest("x")
	c := n.add("c", testConfig()).interest("x")
	n.connect(twin, c)
	n.connect(c, b)
	n.run(time.Second)
	if twin.has(NoticeIdentityInUse) {
		t.Error("what was published before this run is no sign of a twin")
	}
	twin.publish("x", 1)
	a.publish("x", 1)
	n.run(10 * time.Second)
	if !a.has(NoticeIdentityInUse) {
		t.Error("the older of two twins was not told")
	}
	if !twin.has(NoticeIdentityInUse) {
		t.Error("the younger of two twins was not told")
	}
}

func TestDatesOutsideTheWindowAreRefused(t *testing.T) {
	n := newNetwork(t, 24)
	cfg := testConfig()
	cfg.RetainAge = time.Hour
	a, b := n.add("a", cfg).interest("x"), n.add("b", cfg).interest("x")
	a.skew = time.Minute
	n.connect(a, b)
	n.run(3 * time.Second)
	ahead := a.publish("x", 1)
	n.run(time.Second)
	if b.log[ahead.ID] != nil {
		t.Error("a batch dated a minute ahead was taken")
	}
	if !a.has(NoticeRefused) || b.core.Stats().RefusedNew == 0 {
		t.Error("its author was not told")
	}
	if !a.has(NoticeClock) {
		t.Error("a clock that is a minute off its peers' was not reported")
	}
	n.run(40 * time.Second)
	n.expect("x", 1, b) // deferred, not lost
	a.skew = -2 * time.Hour
	a.hlc = 0
	n.run(3 * time.Second)
	prev := a.seqs["x"]
	old := a.seal("x", 1, wire.Prev{Mark: prev.Mark, Time: a.wall() - 1})
	a.inject(old)
	n.run(3 * time.Second)
	if b.log[old.ID] != nil || b.core.Stats().RefusedOld == 0 {
		t.Error("a batch older than what is retained was taken")
	}
}

func TestAFullLogLosesNothing(t *testing.T) {
	n := newNetwork(t, 25)
	a, b := n.add("a", testConfig()).interest("x"), n.add("b", testConfig()).interest("x")
	c := n.add("c", testConfig()).interest("x")
	n.connect(a, b)
	n.connect(b, c)
	n.run(time.Second)
	for i := range 60 {
		if i == 20 {
			b.full = true
		}
		if i == 40 {
			b.resume()
		}
		a.publish("x", 1)
		n.run(20 * time.Millisecond)
	}
	n.run(15 * time.Second)
	n.expect("x", 60, a, b, c)
}

func TestADamagedBodyIsFetchedAgain(t *testing.T) {
	n := newNetwork(t, 26)
	a, b := n.add("a", testConfig()).interest("x"), n.add("b", testConfig()).interest("x")
	n.connect(a, b)
	n.run(time.Second)
	var lostOnes []wire.BatchID
	for range 10 {
		lostOnes = append(lostOnes, a.publish("x", 1).ID)
		n.run(10 * time.Millisecond)
	}
	n.run(time.Second)
	b.core.Lost(lostOnes[3:6])
	b.step()
	n.run(time.Second)
	if s := b.core.Stats(); s.Restored != 3 {
		t.Errorf("%d of 3 restored; %+v", s.Restored, s)
	}
	n.expect("x", 10, b)
}

func TestTrimmedBatchesDoNotComeBack(t *testing.T) {
	n := newNetwork(t, 27)
	a, b := n.add("a", testConfig()).interest("x"), n.add("b", testConfig()).interest("x")
	n.connect(a, b)
	n.run(time.Second)
	var ids []wire.BatchID
	for range 20 {
		ids = append(ids, a.publish("x", 1).ID)
		n.run(10 * time.Millisecond)
	}
	n.run(5 * time.Second)
	b.core.Trim(ids[:10])
	b.step()
	before := n.batches
	n.run(30 * time.Second)
	n.cut(a, b)
	n.connect(a, b)
	n.run(30 * time.Second)
	if n.batches != before {
		t.Errorf("%d trimmed batches came back", n.batches-before)
	}
	// A joiner behind the one that trimmed gets the rest from it, and all from the other.
	c := n.add("c", testConfig()).interest("x")
	n.connect(b, c)
	n.run(15 * time.Second)
	if got := c.events("x"); got != 10 {
		t.Errorf("c reads %d events, want the 10 that b still holds", got)
	}
	n.connect(a, c)
	n.run(15 * time.Second)
	if got := c.events("x"); got != 20 {
		t.Errorf("c reads %d events, want all 20 (some late)", got)
	}
	c.checkOrder("x")
}

func TestAModeRepairsItsSide(t *testing.T) {
	for _, m := range []Mode{PushPull, Push, Pull} {
		t.Run(fmt.Sprint(m), func(t *testing.T) {
			n := newNetwork(t, 28)
			cfg := testConfig()
			cfg.Mode = m
			a, b := n.add("a", cfg).interest("x"), n.add("b", cfg).interest("x")
			for i := range 300 { // more authors than a greeting tells
				s := n.add(fmt.Sprint("s", i), cfg).interest("x")
				n.connect(s, []*node{a, b}[i%2])
				s.publish("x", 1)
				n.run(50 * time.Millisecond)
				s.crash()
			}
			n.run(20 * time.Second)
			n.connect(a, b)
			n.run(10 * time.Second)
			n.expect("x", 300, a, b)
		})
	}
}
