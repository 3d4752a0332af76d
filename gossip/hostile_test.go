package gossip

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// withGap publishes 5 events and 1, and between them 2 that are in no log.
func (x *node) withGap(topic string) {
	first := x.publish(topic, 5)
	hidden := x.seal(topic, 2, wire.Prev{Mark: first.Header.End(), Time: first.Header.Time})
	x.inject(x.seal(topic, 1, wire.Prev{Mark: hidden.Header.End(), Time: hidden.Header.Time}))
}

// restoreMany tells the core of count made-up batches of one author, spacing apart.
func (x *node) restoreMany(topic string, count int, spacing time.Duration) (ids []wire.BatchID) {
	for i := range count {
		h := wire.Header{
			Topic: topic, Author: wire.Author{1}, Epoch: 1, First: uint64(i + 1), Count: 1, Network: "test",
			Time: wire.Time(testEpoch).Add(time.Duration(i) * spacing),
		}
		var id wire.BatchID
		binary.BigEndian.PutUint64(id[:], uint64(i+1)*0x9E3779B97F4A7C15)
		copy(id[8:], topic)
		x.core.Restore(Meta{ID: id, Header: &h, Released: true})
		ids = append(ids, id)
	}
	return ids
}

// inCommon makes the core hold the topic in common with a peer that is not there.
func (x *node) inCommon(y *node, topic string) {
	x.mute = true
	x.core.Restored()
	x.core.PeerUp(y.id, PeerInfo{})
	x.core.Receive(y.id, &wire.Interest{Add: []string{topic}})
	x.core.Receive(y.id, &wire.Topics{Add: []wire.TopicEntry{{Name: topic, Scope: wire.ScopeFull}}})
	x.core.Take()
}

func TestAPeerThatWantsAllAgainAndAgainIsServedSoMuchAtATime(t *testing.T) {
	n := newNetwork(t, 40)
	a, m := n.add("a", testConfig()), n.add("m", testConfig())
	a.core.AddInterest("x")
	a.restoreMany("x", 4096, time.Millisecond)
	a.inCommon(m, "x")
	// ask wants all of it so often and returns the batches sent, and the
	// answers that are empty and tell of more.
	ask := func(times int) (batches, busy int) {
		for i := range times {
			a.core.Receive(m.id, &wire.Want{
				ID: uint32(i), Topic: "x", Author: wire.Author{1}, Upto: wire.Mark{Epoch: 2}, MaxBytes: 1 << 20,
			})
		}
		since := 0
		for _, s := range a.core.Take().Send {
			served, _ := s.Msg.(*wire.Served)
			switch {
			case s.Msg == nil:
				batches++
				since++
			case served != nil:
				if since == 0 && served.More {
					busy++
				}
				since = 0
			}
		}
		return batches, busy
	}
	const times = 1000
	batches, busy := ask(times)
	if batches == 0 || batches > servedPerTakeMax || busy < times/2 || busy == times {
		t.Errorf("%d wants are answered by %d batches and %d empty answers, want at most %d batches",
			times, batches, busy, servedPerTakeMax)
	}
	if a.core.Stats().AnswersCut == 0 {
		t.Error("answers cut short are not counted")
	}
	if batches, busy = ask(1); batches == 0 || busy != 0 {
		t.Errorf("after a Take one want is answered by %d batches, %d empty answers", batches, busy)
	}
}

func TestAPeerThatNamesManyTopicsDoesNotTakeOursAway(t *testing.T) {
	n := newNetwork(t, 41)
	cfg := testConfig()
	cfg.TopicsMax = 100
	a, b, m := n.add("a", cfg).interest(">"), n.add("b", cfg).interest("mine"), n.add("m", testConfig())
	n.connect(m, a)
	for i := range 200 {
		m.core.Announce(fmt.Sprint("junk", i))
	}
	m.step()
	n.run(time.Second)
	if got := a.core.Stats().Topics; got > cfg.TopicsMax/topicsShare {
		t.Errorf("one peer made %d topics known, of at most %d", got, cfg.TopicsMax)
	}
	a.publish("mine", 1)
	n.connect(a, b)
	n.run(2 * time.Second)
	n.expect("mine", 1, b)
	// They go with the last who told of them.
	n.cut(m, a)
	n.run(time.Second)
	if got := a.core.Stats().Topics; got != 1 {
		t.Errorf("%d topics are known when the peer that named them is gone, want the own one", got)
	}
}

func TestWhatAPeerMakesUpIsForgottenWithIt(t *testing.T) {
	n := newNetwork(t, 42)
	cfg := testConfig()
	cfg.AuthorsMax = 100
	a, b, m := n.add("a", cfg).interest("x"), n.add("b", cfg), n.add("m", cfg).interest("x")
	n.connect(m, a)
	n.run(time.Second)
	for i := range 1000 {
		h := wire.Head{Author: wire.Author{1, byte(i), byte(i >> 8)}, Head: wire.Mark{Epoch: 5, Seq: 5}}
		a.core.Receive(m.id, &wire.Have{Topic: "x", Heads: []wire.Head{h}})
	}
	a.step()
	s := a.core.Stats()
	if s.Authors > cfg.AuthorsMax || s.HeadsRefused < 900 {
		t.Errorf("one peer's word makes %d authors known, want at most %d; %d refused",
			s.Authors, cfg.AuthorsMax, s.HeadsRefused)
	}
	n.cut(m, a)
	if got := a.core.Stats().Authors; got != 0 {
		t.Errorf("%d authors are known by the word of a peer that is gone", got)
	}
	b.publish("x", 1)
	n.connect(a, b)
	n.run(2 * time.Second)
	n.expect("x", 1, a)
}

func TestAPeerThatFloodsWithOffersHindersNobody(t *testing.T) {
	n := newNetwork(t, 43)
	a, b := n.add("a", testConfig()).interest("x"), n.add("b", testConfig()).interest("x")
	m := n.add("m", testConfig()).interest("x")
	n.connect(m, b)
	n.run(time.Second)
	a.withGap("x")
	m.mute = true // answers no want
	for i := range uint32(lackMax / wire.ShortIDsMax) {
		o := &wire.Offer{Topic: "x"}
		for j := range uint32(wire.ShortIDsMax) {
			o.IDs = append(o.IDs, madeUp(i, j))
		}
		b.core.Receive(m.id, o)
	}
	b.step()
	if got := b.core.topics["x"].lack.found; got != 0 {
		t.Errorf("%d batches are taken to be missing, on offers outside any exchange", got)
	}
	n.connect(a, b)
	n.run(30 * time.Second)
	n.expect("x", 6, b)
}

// madeUp returns the name of a batch that there is not.
func madeUp(i, j uint32) (id wire.ShortID) {
	binary.BigEndian.PutUint32(id[:4], i)
	binary.BigEndian.PutUint32(id[4:8], j)
	return id
}

func TestAPeerThatClaimsWhatWeDidNotPublishCountsForNothing(t *testing.T) {
	n := newNetwork(t, 44)
	a, m := n.add("a", testConfig()).interest("x"), n.add("m", testConfig()).interest("x")
	n.connect(a, m)
	n.run(time.Second)
	a.publish("x", 1)
	self := a.signer.Author()
	lie := wire.Head{Author: self, Head: wire.Mark{Epoch: 1 << 63, Seq: 1}}
	a.core.Receive(m.id, &wire.Have{Topic: "x", Heads: []wire.Head{lie}})
	a.step()
	n.cut(a, m)
	later := a.publish("x", 1).Header.End()
	if got := a.core.HeldBy("x", self, later); got != 0 {
		t.Errorf("an event published with no peer up is held by %d others", got)
	}
	for _, x := range a.notices {
		if x.Kind == NoticeAcked && x.Mark.Compare(later) > 0 {
			t.Errorf("told of an acknowledgement of %v, where %v is the newest", x.Mark, later)
		}
	}
}

func TestAPeerThatRaisesItsClaimKeepsNoGapOpen(t *testing.T) {
	n := newNetwork(t, 45)
	a, b := n.add("a", testConfig()).interest("x"), n.add("b", testConfig()).interest("x")
	m := n.add("m", testConfig()).interest("x")
	n.connect(m, b)
	n.run(time.Second)
	m.mute = true
	a.withGap("x")
	n.connect(a, b)
	for i := range 100 {
		h := wire.Head{Author: a.signer.Author(), Head: wire.Mark{Epoch: 1 << 62, Seq: uint64(i)}}
		b.core.Receive(m.id, &wire.Have{Topic: "x", Heads: []wire.Head{h}})
		b.step()
		n.run(time.Second)
	}
	n.expect("x", 6, b)
}

func TestAPeerThatServesNothingDoesNotHoldUpOthers(t *testing.T) {
	n := newNetwork(t, 46)
	b, m := n.add("b", testConfig()).interest(">"), n.add("m", testConfig()).interest("x")
	p := n.add("p", testConfig())
	const topics = 20
	for i := range topics {
		p.publish(fmt.Sprint("t", i), 1)
	}
	n.connect(m, b)
	m.publish("x", 1)
	n.run(time.Second)
	m.mute = true
	for i := range 1000 {
		h := wire.Head{Author: wire.Author{1, byte(i), byte(i >> 8)}, Head: wire.Mark{Epoch: 5, Seq: 5}}
		b.core.Receive(m.id, &wire.Have{Topic: "x", Heads: []wire.Head{h}})
	}
	b.step()
	n.connect(p, b)
	n.run(30 * time.Second)
	for i := range topics {
		n.expect(fmt.Sprint("t", i), 1, b)
	}
}

func TestMessagesThatAreDearToAnswerAreNotAnswered(t *testing.T) {
	n := newNetwork(t, 47)
	a, m := n.add("a", testConfig()), n.add("m", testConfig())
	a.core.AddInterest("x")
	const batches, ranges = 10_000, 512
	a.restoreMany("x", batches, time.Microsecond)
	a.inCommon(m, "x")
	open := &wire.Open{Session: 1, Topic: "x", Cut: wire.Time(testEpoch).Add(batches * time.Microsecond)}
	for i := range ranges {
		low := wire.Time(testEpoch).Add(time.Duration(i*batches/ranges)*time.Microsecond + 500)
		open.Ranges = append(open.Ranges, wire.RangeDigest{Low: low})
	}
	open.Floor = open.Ranges[0].Low
	a.core.Receive(m.id, open)
	if got := a.core.Stats().Demerits; got != 1 {
		t.Errorf("%d demerits for an Open of %d ranges", got, ranges)
	}
	for _, s := range a.core.Take().Send {
		if d, ok := s.Msg.(*wire.Answer); ok && (len(d.Coded) > 0 || len(d.Plain) > 0) {
			t.Errorf("an Open of %d ranges is answered: %+v", ranges, d)
		}
	}
	beat := &wire.Heartbeat{Wall: a.wall(), Floor: testEpoch + 1, Cut: open.Cut}
	for range 1000 {
		beat.Cut -= 1001
		a.core.Receive(m.id, beat)
	}
	if got := a.core.Stats().BeatsIgnored; got != 1000-beatsMax {
		t.Errorf("%d of 1000 heartbeats at once are ignored, want all but %d", got, beatsMax)
	}
}

func TestAFilterThatWasNotThereCostsNothingToRemove(t *testing.T) {
	n := newNetwork(t, 48)
	a, m := n.add("a", testConfig()).interest(">"), n.add("m", testConfig())
	for i := range 3000 {
		a.core.Announce(fmt.Sprint("a.b.c.d.e.f.g.h.i.j.t", i))
	}
	a.core.PeerUp(m.id, PeerInfo{})
	var filters []string
	for i := range 1000 {
		filters = append(filters, fmt.Sprint("z.*.", i))
	}
	start := time.Now()
	a.core.Receive(m.id, &wire.Interest{Add: append(filters, ">")})
	add := time.Since(start)
	start = time.Now()
	a.core.Receive(m.id, &wire.Interest{Remove: []string{"q"}})
	if remove := time.Since(start); remove > add/4 {
		t.Errorf("to remove a filter that was not there takes %v, to add %d takes %v", remove, len(filters)+1, add)
	}
}

func TestAPeerWhoseClockIsWrongIsForgottenWhenItLeaves(t *testing.T) {
	n := newNetwork(t, 49)
	a, b := n.add("a", testConfig()).interest("x"), n.add("b", testConfig()).interest("x")
	b.skew = time.Hour
	n.connect(a, b)
	n.run(10 * time.Second)
	if !a.core.clockOff {
		t.Fatal("a clock that is an hour off its only peer's was not reported")
	}
	n.cut(a, b)
	var last Notice
	for _, x := range a.notices {
		if x.Kind == NoticeClock {
			last = x
		}
	}
	if a.core.clockOff || last.Offset != 0 {
		t.Errorf("with nobody to compare with, the clock is still %v off", last.Offset)
	}
}

// A Hello with another number has all forgotten that was told, which costs; to
// begin anew each time does not make it free.
func TestAPeerThatBeginsAgainAndAgainIsDropped(t *testing.T) {
	n := newNetwork(t, 47)
	a, m := n.add("a", testConfig()).interest("x"), n.add("m", testConfig()).interest("x")
	n.connect(a, m)
	n.run(time.Second)
	m.mute = true
	for range 2 * spendMax {
		a.core.Receive(m.id, &wire.Hello{Mine: n.rng.Uint64() | 1, Yours: a.core.peers[m.id].mine})
	}
	if s := a.core.Stats(); s.Disconnected != 1 {
		t.Errorf("%d disconnected after %d beginnings in a moment, %d demerits", s.Disconnected, 2*spendMax, s.Demerits)
	}
}
