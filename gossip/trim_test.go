package gossip

import (
	"testing"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// trimming is a network of two nodes that hold 60 batches of three authors.
func trimming(t *testing.T, seed uint64) (n *network, a, b *node, ids map[string][]wire.BatchID) {
	n = newNetwork(t, seed)
	a, b = n.add("a", testConfig()).interest("x"), n.add("b", testConfig()).interest("x")
	c := n.add("c", testConfig()).interest("x")
	n.connectAll(a, b, c)
	n.run(time.Second)
	ids = map[string][]wire.BatchID{}
	for range 20 {
		for _, x := range []*node{a, b, c} {
			ids[x.name] = append(ids[x.name], x.publish("x", 1).ID)
		}
		n.run(20 * time.Millisecond)
	}
	n.run(5 * time.Second)
	c.crash()
	n.run(time.Minute)
	n.expect("x", 60, a, b)
	return n, a, b, ids
}

// quiet fails if the nodes differ now and then: nothing may be exchanged for a minute.
func (n *network) quiet(what string, nodes ...*node) {
	n.t.Helper()
	n.run(10 * time.Second) // until marks were told
	before := make([]Stats, len(nodes))
	for i, x := range nodes {
		before[i] = x.core.Stats()
	}
	n.run(time.Minute)
	for i, x := range nodes {
		s := x.core.Stats()
		if s.Sessions != before[i].Sessions || s.HeartbeatsStale != before[i].HeartbeatsStale {
			n.t.Errorf("%s: %s begins %d exchanges after %d heartbeats that differ", what, x.name,
				s.Sessions-before[i].Sessions, s.HeartbeatsStale-before[i].HeartbeatsStale)
		}
		if s.Heartbeats == before[i].Heartbeats {
			n.t.Errorf("%s: %s sent no heartbeat", what, x.name)
		}
	}
}

func TestNodesThatTrimmedDifferentlyAgree(t *testing.T) {
	n, a, b, ids := trimming(t, 60)
	a.trim(ids["a"][:10]...)
	n.quiet("one trimmed an author", a, b)
	b.trim(ids["a"][:3]...)
	n.quiet("the other trimmed less of it", a, b)
	b.trim(append(ids["a"][3:15], ids["c"][:5]...)...)
	a.trim(ids["b"][:20]...)
	n.quiet("both trimmed what the other holds", a, b)
	if got := n.sent["*wire.Open"]; got != 0 {
		t.Errorf("%d exchanges in all", got)
	}
}

func TestTrimMarksOutliveAConnectionAndARestart(t *testing.T) {
	n, a, b, ids := trimming(t, 61)
	a.trim(ids["a"][:10]...)
	b.trim(ids["c"][:10]...)
	n.quiet("both trimmed", a, b)
	n.cut(a, b)
	b.trim(ids["c"][10:12]...)
	n.connect(a, b)
	n.quiet("after a reconnect", a, b)
	a.crash()
	n.run(time.Second)
	a.start()
	a.interest("x")
	n.connect(a, b)
	batches := n.batches
	n.quiet("after a restart", a, b)
	if n.batches != batches {
		t.Errorf("%d batches are sent again", n.batches-batches)
	}
}

func TestWhatComesBelowAPeersMarkIsNotOfferedToIt(t *testing.T) {
	n, a, b, ids := trimming(t, 62)
	a.trim(ids["c"][:10]...)
	n.quiet("one trimmed", a, b)
	j := n.add("j", testConfig()).interest("x")
	n.connect(j, a)
	n.run(30 * time.Second)
	if got := j.events("x"); got != 50 {
		t.Errorf("a joiner behind the one that trimmed reads %d events, want 50", got)
	}
	n.quiet("a joiner behind the one that trimmed", a, j)
	n.connect(j, b)
	n.run(30 * time.Second)
	if got := j.events("x"); got != 60 {
		t.Errorf("the joiner reads %d events with the other's help, want 60", got)
	}
	j.checkOrder("x")
	n.quiet("the joiner holds what one has trimmed", a, b, j)
}

// getsWhatNoHeadTells lets the node have two events of a new author: one, and one of
// an older epoch, of which no head tells.
func (x *node) getsWhatNoHeadTells() {
	n := x.net
	z := n.add("z", testConfig())
	older := z.seal("x", 1, wire.Prev{})
	z.epoch += 1 << 20
	z.inject(z.seal("x", 1, wire.Prev{}))
	n.connect(z, x)
	n.run(time.Second)
	x.pending[older.ID] = older
	x.core.Receive(z.id, &wire.Push{Batch: older, Repair: true})
	x.step()
}

// A real difference beside what was trimmed is found and repaired.
func TestADifferenceBesideWhatWasTrimmedIsRepaired(t *testing.T) {
	n, a, b, ids := trimming(t, 63)
	a.trim(ids["a"][:10]...)
	n.quiet("one trimmed", a, b)
	a.getsWhatNoHeadTells()
	n.run(20 * time.Second)
	if got := b.events("x"); got != 62 {
		t.Errorf("b reads %d events, want 62; %+v", got, b.core.Stats())
	}
}

func TestAPeerThatClaimsToHaveTrimmedAllHarmsItselfAlone(t *testing.T) {
	n, a, b, _ := trimming(t, 64)
	m := n.add("m", testConfig()).interest("x")
	n.connect(m, a)
	n.run(time.Second)
	m.mute = true
	marks := &wire.Trimmed{Topic: "x"}
	for _, x := range []*node{a, b} {
		marks.Marks = append(marks.Marks, wire.AuthorMark{Author: x.signer.Author(), Mark: wire.Mark{Epoch: 1<<64 - 1}})
	}
	a.core.Receive(m.id, marks)
	for i := range uint32(2 * marksMax / wire.EntriesMax) {
		many := &wire.Trimmed{Topic: "x"}
		for j := range uint32(wire.EntriesMax) {
			id := madeUp(i, j)
			author := wire.Author(append(id[:], id[:]...))
			many.Marks = append(many.Marks, wire.AuthorMark{Author: author, Mark: wire.Mark{Epoch: 1}})
		}
		a.core.Receive(m.id, many)
	}
	a.step()
	if got := len(a.core.topics["x"].topicPeerOf(a.core.peers[m.id]).gone); got != marksMax {
		t.Errorf("%d marks of one peer are kept, want %d", got, marksMax)
	}
	n.quiet("a liar is connected", b)
	a.publish("x", 1)
	n.run(5 * time.Second)
	n.expect("x", 61, a, b)
}

// A batch that was on its way to the log while retention took those after it is
// below the mark and held.
func TestWhatIsHeldBelowOurOwnMarkIsNotCompared(t *testing.T) {
	n, a, b, ids := trimming(t, 65)
	a.trim(ids["a"][5:10]...)
	n.quiet("one trimmed, but for what came late", a, b)
	a.crash()
	n.run(time.Second)
	a.start()
	a.interest("x")
	n.connect(a, b)
	n.quiet("after a restart", a, b)
}

func TestAJoinerBehindNodesThatTrimmedIsToldSo(t *testing.T) {
	n, a, b, ids := trimming(t, 66)
	a.trim(ids["c"][:10]...)
	b.trim(ids["c"][:15]...)
	j := n.add("j", testConfig()).interest("x")
	n.connect(j, a)
	n.run(time.Minute)
	var gaps []*Gap
	for _, r := range j.topics["x"] {
		if r.gap != nil {
			gaps = append(gaps, r.gap)
		}
	}
	if len(gaps) != 1 || gaps[0].Reason != GapTrimmed || gaps[0].To.Seq != 10 {
		t.Errorf("the joiner is told of %+v, want one gap of 10 trimmed events", gaps)
	}
	n.connect(j, b)
	n.quiet("the joiner knows", a, b, j)
}
