package gossip

import (
	"fmt"
	"testing"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

func TestAGapIsReportedThoughTheInterestWentAndCameBack(t *testing.T) {
	n := newNetwork(t, 50)
	a, b := n.add("a", testConfig()).interest("x"), n.add("b", testConfig()).interest("x")
	a.withGap("x")
	n.connect(a, b)
	for len(b.log) < 2 {
		n.run(time.Millisecond)
	}
	b.core.RemoveInterest("x")
	b.step()
	n.run(3 * time.Second)
	b.interest("x")
	n.run(30 * time.Second)
	n.expect("x", 6, b)
}

func TestAnInterestThatReturnsDuringARepairGoesOn(t *testing.T) {
	for _, away := range []time.Duration{time.Millisecond, 25 * time.Millisecond, 3 * time.Second} {
		t.Run(fmt.Sprint(away), func(t *testing.T) {
			n := newNetwork(t, 51)
			cfg := testConfig()
			cfg.ServeMaxBytes = 100 // a batch an answer
			a, b := n.add("a", cfg).interest("x"), n.add("b", cfg).interest("x")
			for range 100 {
				a.publish("x", 1)
			}
			n.connect(a, b)
			for b.events("x") < 10 {
				n.run(time.Millisecond)
			}
			b.core.RemoveInterest("x")
			b.step()
			n.run(away)
			b.interest("x")
			n.run(20 * time.Second)
			n.expect("x", 100, b)
		})
	}
}

func TestADamagedBodyFoundAloneIsFetchedFromWhoComes(t *testing.T) {
	n := newNetwork(t, 52)
	a, b := n.add("a", testConfig()).interest("x"), n.add("b", testConfig()).interest("x")
	n.connect(a, b)
	n.run(time.Second)
	id := a.publish("x", 1).ID
	n.run(time.Second)
	n.cut(a, b)
	b.core.Lost([]wire.BatchID{id})
	b.step()
	n.run(time.Minute)
	n.connect(a, b)
	n.run(20 * time.Second)
	if s := b.core.Stats(); s.Restored != 1 {
		t.Errorf("%d of 1 restored; %+v", s.Restored, s)
	}
	n.expect("x", 1, a, b)
}

func TestADamagedBodyIsFetchedAgainAfterTheLogFailed(t *testing.T) {
	n := newNetwork(t, 53)
	a, b := n.add("a", testConfig()).interest("x"), n.add("b", testConfig()).interest("x")
	n.connect(a, b)
	n.run(time.Second)
	id := a.publish("x", 1).ID
	n.run(time.Second)
	b.full = true
	b.core.Lost([]wire.BatchID{id})
	b.step()
	n.run(time.Second)
	if s := b.core.Stats(); s.StoreFailed == 0 {
		t.Fatal("the log was to fail")
	}
	b.resume()
	n.run(20 * time.Second)
	if s := b.core.Stats(); s.Restored != 1 {
		t.Errorf("%d of 1 restored; %+v", s.Restored, s)
	}
}

func TestABusyPeerIsAskedAgainSoon(t *testing.T) {
	n := newNetwork(t, 54)
	a, b := n.add("a", testConfig()).interest("x"), n.add("b", testConfig()).interest("x")
	for range 10 {
		a.publish("x", 1)
	}
	n.connect(a, b)
	p := b.core.peers[a.id]
	for len(p.wantList) == 0 {
		n.run(time.Millisecond)
	}
	// Its answer is lost, and another in its stead.
	a.mute = true
	n.run(50 * time.Millisecond)
	b.core.Receive(a.id, &wire.Served{ID: p.wantList[0].id, More: true})
	b.step()
	a.mute = false
	n.run(500 * time.Millisecond)
	n.expect("x", 10, b)
}

// Trimming must not walk all that stays for each batch that goes. That would
// take hundreds of times as long as restoring; a busy machine does not.
func TestTrimmingTakesTimeInProportion(t *testing.T) {
	for seed := range uint64(3) {
		n := newNetwork(t, 56+seed)
		a := n.add("a", testConfig()).interest("x")
		start := time.Now()
		ids := a.restoreMany("x", 100_000, time.Nanosecond)
		a.core.Restored()
		restore := time.Since(start)
		start = time.Now()
		a.core.Trim(ids[:len(ids)/4])
		trim := time.Since(start)
		if trim < 10*restore {
			return
		}
		t.Logf("to trim a quarter of %d batches takes %v, to restore them takes %v", len(ids), trim, restore)
	}
	t.Error("trimming takes too long each time")
}

func TestAMeshOfTheSmallestDegreeIsOneOverlay(t *testing.T) {
	cfg := testConfig()
	cfg.Degree = degreeMin - 1
	if cfg.Validate() == nil {
		t.Errorf("a degree of %d is valid", cfg.Degree)
	}
	cfg.Degree = degreeMin
	for seed := range uint64(10) {
		n := newNetwork(t, seed)
		var nodes []*node
		for i := range 20 {
			nodes = append(nodes, n.add(fmt.Sprint("d", seed, "-", i), cfg).interest("x"))
		}
		n.connectAll(nodes...)
		n.run(2 * time.Second)
		nodes[0].publish("x", 1)
		n.run(time.Second)
		n.expect("x", 1, nodes...)
	}
}

// Who is asked on the chance for a damaged body claimed nothing: that it has not got
// it counts for nothing, however long it goes on.
func TestADamagedBodyThatNobodyHasIsNoPeersFault(t *testing.T) {
	t.Run("of an interest", func(t *testing.T) {
		n := newNetwork(t, 57)
		a, b := n.add("a", testConfig()).interest("x"), n.add("b", testConfig()).interest("x")
		n.connect(a, b)
		n.run(time.Second)
		id := a.publish("x", 1).ID
		n.run(5 * time.Second)
		b.trim(id)
		n.loseForAnHour(a, id)
	})
	t.Run("without interest", func(t *testing.T) {
		n := newNetwork(t, 57)
		a, b := n.add("a", testConfig()).interest("x"), n.add("b", testConfig()).interest("x")
		n.connect(a, b)
		n.run(time.Second)
		id := b.publish("x", 1).ID
		n.run(5 * time.Second)
		a.core.RemoveInterest("x")
		n.loseForAnHour(a, id)
	})
}

func (n *network) loseForAnHour(x *node, id wire.BatchID) {
	n.t.Helper()
	x.core.Lost([]wire.BatchID{id})
	x.step()
	n.run(time.Hour)
	if s := x.core.Stats(); s.WantsSent == 0 || s.Demerits > 0 {
		n.t.Errorf("%d demerits after %d wants, %d disconnected", s.Demerits, s.WantsSent, s.Disconnected)
	}
}

func TestWhatOthersBroughtMeanwhileIsNoPeersFault(t *testing.T) {
	n, a, b := apart(t, 58, testConfig(), 300)
	n.connect(a, b)
	n.run(15 * time.Second)
	n.expect("x", 600, a, b)
	for range 2 * emptyWantsMax {
		w := a.core.newWant(a.core.peers[b.id])
		w.topic = a.core.topics["x"]
		w.items = []*lackItem{{id: b.order[0].Short(), want: w, gone: true}}
		a.core.endWant(w, true)
	}
	if s := a.core.Stats(); s.Demerits > 0 {
		t.Errorf("%d demerits for what is here", s.Demerits)
	}
}

// A damaged body that nobody else has must not hide what differs besides.
func TestADifferenceBesideADamagedBodyIsRepaired(t *testing.T) {
	n := newNetwork(t, 59)
	a, b := n.add("a", testConfig()).interest("x"), n.add("b", testConfig()).interest("x")
	id := a.publish("x", 1).ID
	a.core.Lost([]wire.BatchID{id})
	a.step()
	n.run(5 * time.Second)
	n.connect(a, b)
	n.run(3 * time.Hour)
	if s := b.core.Stats(); s.Heartbeats == 0 || s.HeartbeatsStale > 0 {
		t.Errorf("%d of %d heartbeats differ", s.HeartbeatsStale, s.Heartbeats)
	}
	a.getsWhatNoHeadTells()
	n.run(time.Minute)
	if got := b.events("x"); got != 2 {
		t.Errorf("b reads %d events, want 2; %+v", got, b.core.Stats())
	}
}

// A want that times out may have met a slow link: the next one asks the same peer
// for little, and is answered in parts, which show that it makes progress.
func TestAWantThatTimedOutIsFollowedByOneForParts(t *testing.T) {
	n := newNetwork(t, 58)
	a, b := n.add("a", testConfig()).interest("x"), n.add("b", testConfig()).interest("x")
	n.connect(a, b)
	n.run(time.Second)
	var wants []*wire.Want
	var outstanding *want
	a.puppet = func(from *node, m wire.Message) {
		if w, ok := m.(*wire.Want); ok {
			wants = append(wants, w)
			outstanding = b.core.peers[a.id].wants[w.ID]
		}
	}
	author := a.signer.Author()
	a.say(b, &wire.Have{Topic: "x", Heads: []wire.Head{{Author: author, Head: wire.Mark{Epoch: 1, Seq: 5}}}})
	n.run(b.cfg.WantTimeout + time.Second)
	if len(wants) != 2 || wants[0].MaxBytes <= slowServeBytes || wants[1].MaxBytes > slowServeBytes {
		t.Fatalf("asked %+v, want one want and then one for little", wants)
	}
	if outstanding == nil || outstanding.done {
		t.Fatal("the second want is not outstanding")
	}
	big := a.seal("x", 9000, wire.Prev{})
	a.inject(big)
	for _, c := range []struct {
		maxBytes uint32
		parts    bool
	}{{1 << 20, false}, {slowServeBytes, true}} {
		a.core.Take()
		a.core.Receive(b.id, &wire.WantIDs{ID: 9, Topic: "x", IDs: []wire.ShortID{big.ID.Short()}, MaxBytes: c.maxBytes})
		parts, sent := false, false
		for _, s := range a.core.Take().Send {
			if s.Batch == big.ID {
				parts, sent = s.Parts, true
			}
		}
		if !sent || parts != c.parts {
			t.Errorf("a want for %d bytes of a batch of %d: sent %v, in parts %v", c.maxBytes, big.Size(), sent, parts)
		}
	}
}
