package gossip

import (
	"testing"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// suspect returns a node that mongers and a peer whose core it is linked with,
// and which says nothing of its own.
func suspect(t *testing.T, seed uint64, m Mongering) (n *network, a, b *node) {
	n = newNetwork(t, seed)
	a, b = n.add("a", mongering(m)).interest("x"), n.add("m", mongering(m)).interest("x")
	n.connect(a, b)
	n.run(time.Second)
	b.mute = true
	b.puppet = func(*node, wire.Message) {}
	return n, a, b
}

func madeUpRumors(from uint32) (list []wire.Rumor) {
	for i := range uint32(wire.EntriesMax) {
		list = append(list, wire.Rumor{ID: madeUp(from, i)})
	}
	return list
}

func TestRumorsOfNobodyAreAskedForWithinBounds(t *testing.T) {
	// With a limit of contacts, what they name is pushed to those alone who need it.
	n, a, m := suspect(t, 60, Mongering{Mode: PushPull, K: 2, ConnectionLimit: contactsMax})
	honest := n.add("h", a.cfg).interest("x")
	for i := range uint32(100) {
		a.core.Receive(m.id, &wire.Contact{Topic: "x", Rumors: madeUpRumors(i)})
	}
	a.step()
	mg := a.core.topics["x"].monger
	if len(mg.asks) != asksMax || len(mg.asked) != asksMax {
		t.Errorf("%d batches are asked of one peer, %d in all; want %d", len(mg.asks), len(mg.asked), asksMax)
	}
	n.connect(a, honest)
	honest.publish("x", 1)
	n.run(time.Second)
	n.expect("x", 1, a)
	n.run(time.Second)
	if len(mg.asks) > 0 || len(mg.asked) > 0 {
		t.Errorf("%d batches that nobody has are remembered", len(mg.asks))
	}
	if got := mg.t.topicPeerOf(a.core.peers[m.id]).contact.asks; got != 0 {
		t.Errorf("%d asks of the peer are counted still", got)
	}
}

func TestAFloodOfContactsIsAnsweredWithinBounds(t *testing.T) {
	n, a, m := suspect(t, 61, Mongering{Mode: Pull, K: 3})
	for range 500 {
		a.publish("x", 1)
	}
	n.run(100 * time.Millisecond)
	a.core.Take()
	for range 1000 {
		a.core.Receive(m.id, &wire.Contact{Topic: "x", Pull: true})
	}
	answers, names := 0, 0
	for _, s := range a.core.Take().Send {
		if r, ok := s.Msg.(*wire.Rumors); ok {
			answers, names = answers+1, names+len(r.Rumors)
		}
	}
	if answers == 0 || answers > contactsMax || names > namesMax || a.core.Stats().ContactsDeclined != 1000-contactsMax {
		t.Errorf("1000 contacts: %d answers with %d names; %d declined", answers, names, a.core.Stats().ContactsDeclined)
	}
	for _, r := range a.core.topics["x"].monger.rumors {
		if len(r.sent) > sentMax {
			t.Fatalf("%d contacts of a rumor are waited for", len(r.sent))
		}
	}
}

func TestFeedbackThatNobodyAskedForIsCountedAlone(t *testing.T) {
	n, a, m := suspect(t, 62, Mongering{Mode: Push, K: 1, Interval: time.Second})
	id := a.publish("x", 1).ID
	other := a.publish("y", 1).ID
	for range 100 {
		a.core.Receive(m.id, &wire.Feedback{Topic: "x", Rumors: []wire.RumorFeedback{
			{ID: id.Short(), Known: true}, {ID: madeUp(1, 1), Known: true}, {ID: other.Short(), Known: true},
		}})
	}
	if got := a.core.Stats(); got.FeedbackStray != 300 || got.FeedbackKnown != 0 {
		t.Errorf("%d answers to nothing are counted, %d taken", got.FeedbackStray, got.FeedbackKnown)
	}
	n.run(1500 * time.Millisecond) // it is pushed once
	a.core.Receive(m.id, &wire.Feedback{Topic: "x", Rumors: []wire.RumorFeedback{{ID: id.Short()}}})
	for range 100 {
		a.core.Receive(m.id, &wire.Feedback{Topic: "x", Rumors: []wire.RumorFeedback{{ID: id.Short(), Known: true}}})
	}
	a.step()
	if got := a.core.Stats().FeedbackKnown; got != 0 {
		t.Errorf("one contact is answered 101 times, and %d are taken", got+1)
	}
	n.run(time.Second)
	if got := a.core.State(id); got != Infective {
		t.Errorf("answers to nothing end a rumor: %d", got)
	}
}

// A peer that always says that it did not know keeps a rumor alive only where
// it is the only one, and not for ever.
func TestAPeerThatNeverKnowsDoesNotKeepARumorForEver(t *testing.T) {
	n, a, m := suspect(t, 63, Mongering{Mode: Push, K: 1})
	m.mute = false
	pushes := 0
	m.puppet = func(_ *node, msg wire.Message) {
		if p, ok := msg.(*wire.Push); ok {
			pushes++
			m.say(a, &wire.Feedback{Topic: "x", Rumors: []wire.RumorFeedback{{ID: p.Batch.ID.Short()}}})
		}
	}
	id := a.publish("x", 1).ID
	n.run(time.Minute)
	if most := ageMax + ageFactor; a.core.State(id) != Removed || pushes > most || pushes < ageMax {
		t.Errorf("the rumor is %d after %d pushes", a.core.State(id), pushes)
	}
}

func TestAPeerThatNeedsAllAgainAndAgainIsPushedSoMuchAtATime(t *testing.T) {
	n := newNetwork(t, 64)
	a, m := n.add("a", mongering(Mongering{Mode: Pull, K: 2})), n.add("m", testConfig())
	a.core.AddInterest("x")
	ids := a.restoreMany("x", 2048, time.Millisecond)
	a.inCommon(m, "x")
	a.core.Tick(n.now, a.wall())
	a.core.Take()
	need := &wire.Feedback{Topic: "x"}
	for _, id := range ids[:wire.EntriesMax] {
		need.Rumors = append(need.Rumors, wire.RumorFeedback{ID: id.Short(), Need: true})
	}
	for range 100 {
		a.core.Receive(m.id, need)
	}
	batches := 0
	for _, s := range a.core.Take().Send {
		if s.Msg == nil {
			batches++
		}
	}
	if batches == 0 || batches > servedPerTakeMax || a.core.Stats().AnswersCut == 0 {
		t.Errorf("%d batches are pushed between two Takes; %d answers cut", batches, a.core.Stats().AnswersCut)
	}
	// To one that may not have the topic, nothing is pushed or named.
	out := n.add("out", testConfig())
	a.core.PeerUp(out.id, PeerInfo{})
	a.core.Take()
	a.core.Receive(out.id, need)
	a.core.Receive(out.id, &wire.Contact{Topic: "x", Pull: true})
	a.core.Receive(out.id, &wire.Rumors{Topic: "x", Rumors: madeUpRumors(1)})
	if got := a.core.Take().Send; len(got) > 0 {
		t.Errorf("a peer that did not ask for the topic is sent %+v", got)
	}
	if got := a.core.Stats().Unsolicited; got != 3 {
		t.Errorf("%d of 3 messages count as unsolicited", got)
	}
}

func TestRumorsHaveABound(t *testing.T) {
	n := newNetwork(t, 65)
	a := n.add("a", mongering(Mongering{Mode: Push, K: 2})).interest("x")
	a.restoreMany("x", 1, time.Millisecond)
	var first wire.BatchID
	for i := range rumorsMax + 10 {
		h := wire.Header{
			Topic: "x", Author: a.signer.Author(), Epoch: 9, First: uint64(i + 1), Count: 1, Time: testEpoch + wire.Time(i),
		}
		id := wire.BatchID{1, byte(i), byte(i >> 8)}
		if i == 0 {
			first = id
		}
		a.core.Publish(id, &h)
	}
	s := a.core.Stats()
	if s.RumorsInfective != rumorsMax || s.RumorsEvicted != 10 || a.core.State(first) != Removed {
		t.Errorf("%d rumors, %d evicted; the oldest is %d", s.RumorsInfective, s.RumorsEvicted, a.core.State(first))
	}
}

func TestATreeTakesWhatMongersSay(t *testing.T) {
	n := newNetwork(t, 66)
	a, m := n.add("a", testConfig()).interest("x"), n.add("m", testConfig()).interest("x")
	n.connect(a, m)
	n.run(time.Second)
	m.mute = true
	b := a.publish("x", 1)
	a.core.Receive(m.id, &wire.Rumors{Topic: "x", Rumors: madeUpRumors(1)})
	a.core.Receive(m.id, &wire.Feedback{Topic: "x", Rumors: []wire.RumorFeedback{
		{ID: b.ID.Short(), Known: true, Need: true}, {ID: madeUp(1, 2), Known: true, Need: true},
	}})
	a.core.Receive(m.id, &wire.Contact{Topic: "x", Pull: true, Rumors: madeUpRumors(1)})
	out := a.core.Take()
	if len(out.Send) != 1 {
		t.Errorf("a tree answers a Contact, and nothing else, by %+v", out.Send)
	}
	if r, ok := out.Send[0].Msg.(*wire.Rumors); !ok || r.Busy || len(r.Rumors) > 0 {
		t.Errorf("a tree answers a Contact by %+v", out.Send[0].Msg)
	}
	if got := a.core.HeldBy("x", a.signer.Author(), b.Header.End()); got != 1 {
		t.Errorf("by feedback, %d hold the batch", got)
	}
	if a.core.State(b.ID) != Removed {
		t.Errorf("with its only neighbour holding it, a rumor is %d", a.core.State(b.ID))
	}
}

// A peer that has a rumor named without end, and answers last, has the node forget
// whom else it offered the rumor to, and so hear of useless contacts alone.
func TestAPeerThatHasRumorsNamedWithoutEndHidesNoAnswers(t *testing.T) {
	n, a, m := suspect(t, 67, Mongering{Mode: Pull, K: 1, Interval: time.Second})
	h := n.add("h", a.cfg).interest("x")
	n.connect(a, h)
	n.run(time.Second)
	h.mute, h.puppet = true, func(*node, wire.Message) {}
	id := a.publish("x", 1).ID.Short()
	n.run(time.Second)
	for range contactsMax {
		a.core.Receive(m.id, &wire.Contact{Topic: "x", Pull: true})
	}
	a.core.Receive(h.id, &wire.Contact{Topic: "x", Pull: true})
	n.run(time.Second) // the peer's contacts are answered again
	for range contactsMax {
		a.core.Receive(m.id, &wire.Contact{Topic: "x", Pull: true})
	}
	before := a.core.Stats().FeedbackNew
	a.core.Receive(h.id, &wire.Feedback{Topic: "x", Rumors: []wire.RumorFeedback{{ID: id, Need: true}}})
	if got := a.core.Stats().FeedbackNew - before; got != 1 {
		t.Errorf("%d of 1 useful contacts count; %d answers stray", got, a.core.Stats().FeedbackStray)
	}
}
