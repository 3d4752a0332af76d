package gossip

import (
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// nobody returns the record of a peer that does not exist.
func nobody(i int) wire.Record {
	seed := make([]byte, ed25519.SeedSize)
	binary.BigEndian.PutUint64(seed, uint64(i)+1<<32)
	return recordOf(wire.NewSigner(ed25519.NewKeyFromSeed(seed)).Author().PeerID())
}

// puppet adds a node whose core is silent; it shares the topic with who connects.
func (n *network) puppet(name, topic string, to *node) *node {
	p := n.add(name, testConfig())
	p.puppet = func(*node, wire.Message) {}
	p.mute = true
	n.connect(p, to)
	p.say(to, &wire.Hello{Mine: 1})
	p.say(to, &wire.Interest{Add: []string{topic}})
	p.say(to, &wire.Topics{Add: []wire.TopicEntry{{Name: topic}}})
	return p
}

func TestALiarGainsNothing(t *testing.T) {
	n, nodes := overlay(t, 1, 20, testConfig(), "x")
	n.join(nodes)
	victim := nodes[5]
	n.connect(victim, nodes[0])
	liar := n.puppet("liar", "x", victim)
	told := 0
	for second := range 60 {
		n.at(time.Duration(second)*time.Second, func() {
			m := &wire.Shuffle{Topic: "x"}
			for range wire.RecordsMax {
				m.Records = append(m.Records, nobody(told))
				told++
			}
			liar.say(victim, m)
		})
	}
	n.run(30 * time.Second)
	expectOverlay(t, "x", nodes, leastNeighbours)
	for _, x := range nodes[10:] {
		x.crash() // now the victim needs others
	}
	n.run(30 * time.Second)
	s := victim.core.Stats()
	// Each lie costs one dial at most, and they are at most dialRate a second.
	if most := uint64(60*dialRate + wishesMax); s.DialsWished > most {
		t.Errorf("the liar made its victim dial %d times, want %d at most", s.DialsWished, most)
	}
	lies := 0
	for _, k := range victim.core.view.list {
		if k.teller == liar.id {
			lies++
		}
	}
	if most := victim.cfg.PassiveMax / tellerShare; lies > most {
		t.Errorf("%d lies are kept, want %d at most", lies, most)
	}
	expectOverlay(t, "x", alive(nodes), leastNeighbours)
	t.Logf("%d lies: %d dials failed, %d records refused, %d kept", told, s.DialsFailed, s.RecordsRefused, lies)
}

func TestAFloodOfShufflesCostsTheConnection(t *testing.T) {
	for name, m := range map[string]*wire.Shuffle{
		"requests": {Topic: "x", Records: []wire.Record{nobody(1)}},
		"replies":  {Topic: "x", Reply: true, Records: []wire.Record{nobody(1)}},
		"full":     {Full: true},
	} {
		n, nodes := overlay(t, 1, 1, testConfig(), "x")
		liar := n.puppet("liar", "x", nodes[0])
		answers := 0
		n.tap = func(_, _ *node, m wire.Message) {
			if _, ok := m.(*wire.Shuffle); ok {
				answers++
			}
		}
		for range shuffleBurst + nodes[0].cfg.DemeritsMax {
			liar.say(nodes[0], m)
		}
		n.run(time.Second)
		if !nodes[0].banned[liar] {
			t.Errorf("%s: the liar is still connected", name)
		}
		if answers > shuffleBurst+shufflesAtOnce {
			t.Errorf("%s: %d answers, want %d at most", name, answers, shuffleBurst)
		}
	}
}

func TestRecordsOfSomebodyElseAreTheTellersMistake(t *testing.T) {
	n, nodes := overlay(t, 1, 2, testConfig(), "x")
	liar := n.puppet("liar", "x", nodes[0])
	false1 := wire.Record{Peer: nodes[1].id, Signed: []byte("signed by the liar")}
	liar.say(nodes[0], &wire.Shuffle{Topic: "x", Records: []wire.Record{false1}})
	n.run(time.Second)
	if s := nodes[0].core.Stats(); s.Demerits != 1 || s.Passive+int(s.DialsWished) > 0 {
		t.Errorf("a false record counts: %+v", s)
	}
}

func TestRepliesThatNobodyAskedForAreNotTaken(t *testing.T) {
	n, nodes := overlay(t, 1, 1, testConfig(), "x")
	liar := n.puppet("liar", "x", nodes[0])
	n.run(time.Second)
	answer := &wire.Shuffle{Topic: "x", Reply: true, Records: []wire.Record{nobody(1)}}
	liar.say(nodes[0], answer) // to the one that begins as soon as the two meet
	n.run(100 * time.Millisecond)
	if s := nodes[0].core.Stats(); s.Passive != 1 || s.Unsolicited != 0 {
		t.Errorf("the reply to a shuffle was not taken: %+v", s)
	}
	answer.Records[0] = nobody(2)
	liar.say(nodes[0], answer)
	n.run(100 * time.Millisecond)
	if s := nodes[0].core.Stats(); s.Passive != 1 || s.Unsolicited != 1 {
		t.Errorf("a second reply was taken: %+v", s)
	}
}

func TestAPeerThatCannotBeReachedIsTriedLessAndLessAndDropped(t *testing.T) {
	n, nodes := overlay(t, 1, 1, testConfig(), "x")
	x := nodes[0]
	x.core.Known("x", []wire.Record{nobody(1)})
	x.step()
	n.run(time.Second)
	if s := x.core.Stats(); s.DialsWished != 1 {
		t.Fatalf("%d dials at once, want 1", s.DialsWished)
	}
	n.run(2 * time.Minute)
	if s := x.core.Stats(); s.DialsFailed != failedMax || s.Passive != 0 {
		t.Errorf("%d dials failed, %d known; want %d and 0", s.DialsFailed, s.Passive, failedMax)
	}
	x.core.Known("x", []wire.Record{nobody(1)})
	x.step()
	n.run(time.Minute)
	if s := x.core.Stats(); s.DialsWished != failedMax || s.RecordsRefused != 1 {
		t.Errorf("the same record is taken again: %+v", s)
	}
	newer := nobody(1)
	newer.Seq = 1
	x.core.Known("x", []wire.Record{newer})
	x.step()
	n.run(time.Minute)
	if s := x.core.Stats(); s.DialsWished == failedMax {
		t.Error("a newer record is not taken")
	}
}

func TestADialOfWhichNothingIsHeardHasFailed(t *testing.T) {
	n, nodes := overlay(t, 1, 1, testConfig(), "x")
	n.exchange = false // nobody dials
	x := nodes[0]
	x.core.Known("x", []wire.Record{nobody(1)})
	x.step()
	n.run(wishTimeout - time.Second)
	if s := x.core.Stats(); s.DialsWished != 1 || s.DialsFailed != 0 {
		t.Errorf("too soon: %+v", s)
	}
	n.run(2 * time.Second)
	if s := x.core.Stats(); s.DialsFailed != 1 {
		t.Errorf("the dial has not failed: %+v", s)
	}
}

func TestPassiveSetsAreBounded(t *testing.T) {
	cfg := testConfig()
	cfg.PassiveMax, cfg.KnownMax = 6, 20
	n := newNetwork(t, 1)
	x := n.add("x", cfg)
	for topic := range 10 {
		x.interest(string(rune('a' + topic)))
		for i := range 50 {
			x.core.Known(string(rune('a'+topic)), []wire.Record{nobody(100*topic + i)})
		}
		x.step()
	}
	for _, top := range x.core.topicList {
		if len(top.passive) > cfg.PassiveMax {
			t.Errorf("%d peers are known for %s, want %d at most", len(top.passive), top.name, cfg.PassiveMax)
		}
	}
	if s := x.core.Stats(); s.Passive != cfg.KnownMax {
		t.Errorf("%d peers are known, want %d", s.Passive, cfg.KnownMax)
	}
	if d := x.core.Stats().DialsWished; d > wishesMax+dialRate {
		t.Errorf("%d dials at once, want %d at most", d, wishesMax)
	}
	x.core.RemoveInterest("a")
	x.step()
	if len(x.core.topics["a"].passive) != 0 {
		t.Error("peers are kept for a topic without interest")
	}
}

// The peer that is forgotten for a new one may be the last to keep the new one's topic.
func TestATopicIsNotForgottenForTheRecordThatComesForIt(t *testing.T) {
	cfg := testConfig()
	cfg.KnownMax, cfg.PassiveMax = 2, 2
	for seed := range uint64(8) { // whom chance forgets
		n := newNetwork(t, seed)
		a, m := n.add("a", cfg).interest(">"), n.add("m", testConfig())
		m.puppet = func(*node, wire.Message) {}
		n.connect(a, m)
		a.core.Receive(m.id, ownTopics("t", "u"))
		a.core.Known("t", []wire.Record{nobody(1)})
		a.core.Known("u", []wire.Record{nobody(2)})
		n.cut(a, m)
		a.core.Known("t", []wire.Record{nobody(3)})
		for _, k := range a.core.view.list {
			for _, x := range k.topics {
				if a.core.topics[x.name] != x {
					t.Fatalf("seed %d: %v is known for a topic that is forgotten", seed, k.record.Peer)
				}
			}
		}
		if a.core.topics["t"] == nil {
			t.Errorf("seed %d: a topic that a peer is known for is forgotten", seed)
		}
	}
}

func TestAConnectionThatServesNoTopicEnds(t *testing.T) {
	n, nodes := overlay(t, 1, 2, testConfig())
	nodes[0].interest("x")
	nodes[1].interest("y")
	nodes[0].core.Known("x", []wire.Record{recordOf(nodes[1].id)}) // which is not so
	nodes[0].step()
	n.run(time.Second)
	if nodes[0].links[nodes[1]] == 0 {
		t.Fatal("not connected")
	}
	n.run(time.Minute)
	if s := nodes[0].core.Stats(); s.Peers != 0 || s.DialsWished != 1 || s.PeersSurplus != 1 {
		t.Errorf("the connection is still there, or was made again: %+v", s)
	}
	nodes[0].core.Known("x", []wire.Record{recordOf(nodes[1].id)})
	nodes[0].step()
	n.run(time.Minute)
	if s := nodes[0].core.Stats(); s.DialsWished != 1 {
		t.Errorf("it is made again on the same word: %+v", s)
	}
}

func TestOneWhoIsToldThatAPeerIsFullFindsOthersFirst(t *testing.T) {
	n, nodes := overlay(t, 1, 3, testConfig(), "x")
	seed := n.puppet("seed", "x", nodes[0])
	seed.say(nodes[0], &wire.Shuffle{Topic: "x", Records: []wire.Record{recordOf(seed.id)}})
	n.run(time.Second)
	seed.say(nodes[0], &wire.Shuffle{Topic: "x", Full: true, Records: []wire.Record{recordOf(nodes[1].id)}})
	n.run(fullGrace)
	if nodes[0].links[nodes[1]] == 0 {
		t.Error("the one it was told of is not connected before the seed ends the connection")
	}
	n.cut(nodes[0], seed)
	n.run(fullWait / 2)
	if nodes[0].links[seed] != 0 {
		t.Error("the seed is dialled again within minutes")
	}
	nodes[1].crash()
	n.run(2 * fullWaitAlone)
	if nodes[0].links[seed] == 0 {
		t.Error("the seed is not dialled although there is nobody else")
	}
}

// Who says that it is full is about to go, and not counted. One that says so again
// and again and stays would be connected beyond any bound.
func TestPeersThatSayThatTheyAreFullAndStayAreCounted(t *testing.T) {
	cfg := testConfig()
	cfg.PeersMax = cfg.Degree
	n, nodes := overlay(t, 1, 1, cfg, "x")
	liars := make([]*node, 4*cfg.PeersMax)
	for i := range liars {
		liars[i] = n.puppet(fmt.Sprint("liar", i), "x", nodes[0])
		for second := time.Duration(0); second < time.Minute; second += fullForget / 3 {
			n.at(second, func() { liars[i].say(nodes[0], &wire.Shuffle{Full: true}) })
		}
	}
	n.run(time.Minute)
	if got := nodes[0].core.Stats().Peers; got > cfg.PeersMax {
		t.Errorf("%d peers are connected, want %d at most", got, cfg.PeersMax)
	}
}

func TestAskingAboutATopicThatOneDoesNotShareTellsNothing(t *testing.T) {
	n, nodes := overlay(t, 1, 3, testConfig(), "x")
	n.connectAll(nodes...)
	n.run(time.Second)
	curious := n.puppet("curious", "y", nodes[0])
	n.run(time.Second)
	n.tap = func(_, y *node, m wire.Message) {
		if s, ok := m.(*wire.Shuffle); ok && y == curious {
			t.Errorf("it is told %+v", s)
		}
	}
	before := nodes[0].core.Stats().Unsolicited
	curious.say(nodes[0], &wire.Shuffle{Topic: "x"})
	n.run(time.Minute)
	if more := nodes[0].core.Stats().Unsolicited - before; more != 1 {
		t.Errorf("%d unsolicited messages, want 1", more)
	}
}

func TestDialsAreBegunAtALimitedRate(t *testing.T) {
	n, nodes := overlay(t, 1, 1, testConfig(), "a", "b", "c", "d")
	x := nodes[0]
	for i := range 4 * x.cfg.PassiveMax {
		x.core.Known(string(rune('a'+i%4)), []wire.Record{nobody(i)})
	}
	x.step()
	const seconds = 10
	n.run(seconds * time.Second)
	if s := x.core.Stats(); s.DialsWished > wishesMax+seconds*dialRate || s.DialsWished < seconds*dialRate {
		t.Errorf("%d dials in %d s, want some %d", s.DialsWished, seconds, wishesMax+seconds*dialRate)
	}
}

func TestAPeerThatWasUpIsTriedForLong(t *testing.T) {
	n, nodes := overlay(t, 1, 2, testConfig(), "x")
	n.connectAll(nodes...)
	n.run(time.Minute)
	nodes[1].crash()
	n.run(5 * time.Minute) // others are dropped after little more than one
	nodes[1].start()
	nodes[1].interest("x")
	n.run(failedWaitMax)
	if nodes[0].links[nodes[1]] == 0 {
		t.Errorf("the two are apart: %+v", nodes[0].core.Stats())
	}
}

func TestThePeerThatServesMostTopicsIsDialledFirst(t *testing.T) {
	topics := []string{"a", "b", "c", "d"}
	n, nodes := overlay(t, 1, 1, testConfig(), topics...)
	n.exchange = false // nobody dials
	x := nodes[0]
	for i := range 20 * len(topics) {
		x.core.Known(topics[i%len(topics)], []wire.Record{nobody(i)})
	}
	for _, topic := range topics {
		x.core.Known(topic, []wire.Record{nobody(1000)})
	}
	x.step()
	n.run(time.Second)
	if k := x.core.view.known[nobody(1000).Peer]; k == nil || !k.dialling {
		t.Error("it is not among the first")
	}
}

// A peer that was lost is in passive sets, and remembered apart from them.
func TestALostPeerIsDialledOnceAtATime(t *testing.T) {
	n, nodes := overlay(t, 1, 2, testConfig(), "x")
	n.connectAll(nodes...)
	n.run(time.Minute)
	n.exchange = false // nobody dials
	n.cut(nodes[0], nodes[1])
	n.run(wishTimeout)
	if s := nodes[0].core.Stats(); s.DialsWished != 1 || s.DialsFailed != 0 {
		t.Errorf("%d dials are under way, and %d have failed, want 1 and 0", s.DialsWished, s.DialsFailed)
	}
	n.run(time.Minute)
	if s := nodes[0].core.Stats(); s.DialsWished > s.DialsFailed+1 || s.DialsFailed < 2 {
		t.Errorf("of %d dials %d have failed", s.DialsWished, s.DialsFailed)
	}
}
