package gossip

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// mongering returns the test configuration with all topics mongered.
func mongering(m Mongering) Config {
	cfg := testConfig()
	m.Interval = max(m.Interval, 50*time.Millisecond)
	m.Fanout = max(m.Fanout, 1)
	cfg.Topics = []TopicConfig{{Filter: ">", Mongering: &m}}
	return cfg
}

// without returns the configuration with no anti-entropy on mongered topics.
func without(cfg Config) Config {
	cfg.Topics[0].NoAntiEntropy = true
	return cfg
}

// variants are all kinds of mongering there are.
var variants = []Mongering{
	{Mode: Push, K: 2},
	{Mode: Push, K: 2, Coin: true},
	{Mode: Push, K: 3, Blind: true},
	{Mode: Push, K: 3, Blind: true, Coin: true},
	{Mode: Push, K: 1, Fanout: 3},
	{Mode: Push, K: 2, ConnectionLimit: 1, Hunt: 3},
	{Mode: Pull, K: 2},
	{Mode: Pull, K: 2, Coin: true},
	{Mode: Pull, K: 3, Blind: true},
	{Mode: Pull, K: 3, Blind: true, Coin: true},
	{Mode: Pull, K: 2, ConnectionLimit: 2, Hunt: 1},
	{Mode: PushPull, K: 2},
	{Mode: PushPull, K: 2, Coin: true},
	{Mode: PushPull, K: 2, Blind: true},
	{Mode: PushPull, K: 2, Minimize: true},
	{Mode: PushPull, K: 2, Fanout: 2, ConnectionLimit: 2, Hunt: 2},
	{Mode: PushPull, K: 2, Blind: true, ConnectionLimit: 2},
	{Mode: PushPull, K: 2, Minimize: true, ConnectionLimit: 2, Hunt: 2},
}

// group adds so many nodes with the configuration, all linked.
func (n *network) group(size int, cfg Config) (nodes []*node) {
	for i := range size {
		nodes = append(nodes, n.add(fmt.Sprint("n", i), cfg).interest("x"))
	}
	n.connectAll(nodes...)
	n.run(time.Second)
	return nodes
}

// sum adds up what f tells of the nodes.
func sum(nodes []*node, f func(Stats) uint64) (n uint64) {
	for _, x := range nodes {
		n += f(x.core.Stats())
	}
	return n
}

func TestEachKindOfMongeringWithAntiEntropyReachesAll(t *testing.T) {
	for i, m := range variants {
		t.Run(fmt.Sprintf("%+v", m), func(t *testing.T) {
			n := newNetwork(t, uint64(i+1))
			nodes := n.group(12, mongering(m))
			for j := range 30 {
				nodes[j%3].publish("x", 1+j%2)
				n.run(30 * time.Millisecond)
			}
			n.run(30 * time.Second)
			n.expect("x", 45, nodes...)
			n.run(time.Minute)
			checkMongering(t, nodes, m)
			if grafts, prunes := n.sent["*wire.Graft"], n.sent["*wire.Prune"]; grafts+prunes > 0 {
				t.Errorf("%d Grafts and %d Prunes were sent", grafts, prunes)
			}
			repaired := sum(nodes, func(s Stats) uint64 { return s.Repaired })
			if wants := n.sent["*wire.Want"]; wants > int(repaired) {
				t.Errorf("%d wants for %d batches that were missed", wants, repaired)
			}
		})
	}
}

// checkMongering holds the counters of nodes that have nothing left to spread to
// what the kind of mongering makes of them.
func checkMongering(t *testing.T, nodes []*node, m Mongering) {
	t.Helper()
	s := func(f func(Stats) uint64) uint64 { return sum(nodes, f) }
	accepted, repaired := s(func(s Stats) uint64 { return s.Accepted }), s(func(s Stats) uint64 { return s.Repaired })
	if 2*repaired > accepted {
		t.Errorf("%d of %d batches were repaired, and not brought by rumors", repaired, accepted)
	}
	if left := s(func(s Stats) uint64 { return uint64(s.RumorsInfective) }); left > 0 {
		t.Errorf("%d rumors are spread still", left)
	}
	if s(func(s Stats) uint64 { return s.Contacts }) == 0 || s(func(s Stats) uint64 { return s.RumorsRemoved }) == 0 {
		t.Error("no contacts or removed rumors are counted")
	}
	refused := s(func(s Stats) uint64 { return s.ContactsRefused })
	declined := s(func(s Stats) uint64 { return s.ContactsDeclined })
	if (refused > 0) != (m.ConnectionLimit > 0) || refused != declined {
		t.Errorf("%d contacts refused, %d declined", refused, declined)
	}
	if hunts := s(func(s Stats) uint64 { return s.Hunts }); (hunts > 0) != (m.Hunt > 0) || hunts > refused {
		t.Errorf("%d hunts, %d contacts refused", hunts, refused)
	}
	known := s(func(s Stats) uint64 { return s.FeedbackKnown }) + s(func(s Stats) uint64 { return s.FeedbackNew })
	if (known > 0) == m.Blind {
		t.Errorf("%d contacts were answered by feedback", known)
	}
	if got := s(func(s Stats) uint64 { return s.Unsolicited }); got > 0 {
		t.Errorf("%d messages were unsolicited", got)
	}
}

func TestWhatRumorsMissStaysMissedWithoutAntiEntropy(t *testing.T) {
	n := newNetwork(t, 1)
	nodes := n.group(20, without(mongering(Mongering{Mode: Push, Blind: true, Coin: true, K: 2})))
	const batches = 20
	for range batches {
		nodes[0].publish("x", 1)
	}
	n.run(2 * time.Minute)
	n.cut(nodes[0], nodes[1])
	n.connect(nodes[0], nodes[1])
	n.run(time.Minute)
	missed := 0
	for _, x := range nodes[1:] {
		x.checkOrder("x")
		missed += batches - x.events("x")
	}
	if missed == 0 {
		t.Error("rumors that die at once miss nobody")
	}
	if got := sum(nodes, func(s Stats) uint64 { return s.Gaps }); got == 0 {
		t.Error("no gap is reported")
	}
	for _, kind := range []string{"*wire.Have", "*wire.Want", "*wire.WantIDs", "*wire.Open", "*wire.TopicDigests"} {
		if n.sent[kind] > 0 {
			t.Errorf("%d %s were sent", n.sent[kind], kind)
		}
	}
}

func TestAnAuthorLearnsWhoHoldsItsRumors(t *testing.T) {
	for _, compared := range []bool{true, false} {
		n := newNetwork(t, 2)
		cfg := mongering(Mongering{Mode: Push, K: 3})
		if !compared {
			cfg = without(cfg)
		}
		nodes := n.group(8, cfg)
		b := nodes[0].publish("x", 1)
		n.run(5 * time.Second)
		held := nodes[0].core.HeldBy("x", nodes[0].signer.Author(), b.Header.End())
		if want := 7; compared && held != want {
			t.Errorf("an author knows of %d that hold its batch, of %d", held, want)
		}
		if !compared && held == 0 {
			t.Error("an author that gets feedback alone knows of nobody that holds its batch")
		}
		// Heads are told to authors, and when peers meet: then all of them have none.
		if got := n.sent["*wire.Have"]; got > 7 {
			t.Errorf("%d heads were told", got)
		}
	}
}

func TestWhatAntiEntropyBringsBecomesARumorAgain(t *testing.T) {
	n := newNetwork(t, 3)
	nodes := n.group(10, mongering(Mongering{Mode: Push, K: 2}))
	n.run(time.Second)
	out := n.add("out", mongering(Mongering{Mode: Push, K: 2})).interest("x")
	id := out.publish("x", 1).ID
	out.mute = true // it mongers with nobody
	n.run(10 * time.Second)
	out.core.topics["x"].monger.rumors = nil
	out.mute = false
	n.connect(out, nodes[0])
	repaired := func(s Stats) uint64 { return s.Repaired }
	for range 100 {
		n.run(20 * time.Millisecond)
		if nodes[0].core.State(id) == Infective {
			break
		}
	}
	if nodes[0].core.State(id) != Infective || sum(nodes, repaired) != 1 {
		t.Errorf("repaired: %d, and the batch is %d", sum(nodes, repaired), nodes[0].core.State(id))
	}
	n.run(3 * time.Second)
	n.expect("x", 1, nodes...)
	if got := sum(nodes, repaired); got > 3 {
		t.Errorf("%d of 10 nodes were repaired, and not told by a rumor", got)
	}
}

func TestHistoryIsNoRumor(t *testing.T) {
	n := newNetwork(t, 4)
	nodes := n.group(4, mongering(Mongering{Mode: Push, K: 2}))
	const batches = 50
	for range batches {
		nodes[0].publish("x", 1)
		n.run(20 * time.Millisecond)
	}
	n.run(retellMax + time.Second)
	late := n.add("late", mongering(Mongering{Mode: Push, K: 2})).interest("x")
	before := n.batches
	n.connectAll(append(nodes, late)...)
	n.run(10 * time.Second)
	n.expect("x", batches, late)
	if got := n.batches - before; got > batches {
		t.Errorf("%d batches are sent for a history of %d", got, batches)
	}
}

func TestARestartedNodeSpreadsNoOldRumors(t *testing.T) {
	n := newNetwork(t, 5)
	nodes := n.group(2, mongering(Mongering{Mode: Push, K: 2}))
	n.cut(nodes[0], nodes[1])
	id := nodes[0].publish("x", 1).ID
	n.run(time.Second)
	if got := nodes[0].core.State(id); got != Infective {
		t.Errorf("with nobody to tell it to, a rumor is %d", got)
	}
	nodes[0].crash()
	nodes[0].start()
	if got := nodes[0].core.State(id); got != Removed {
		t.Errorf("after a restart a batch is %d", got)
	}
}

func TestARumorIsSpreadFromTheNextCycleOn(t *testing.T) {
	n := newNetwork(t, 9)
	const interval = time.Second
	m := Mongering{Mode: Push, K: 20, Interval: interval}
	a, b := n.add("a", mongering(m)).interest("x"), n.add("b", mongering(m)).interest("x")
	c := n.add("c", mongering(m)).interest("x")
	n.connect(a, b)
	n.connect(b, c)
	n.run(1700 * time.Millisecond)
	var came []time.Duration
	c.puppet = func(_ *node, m wire.Message) {
		if _, ok := m.(*wire.Push); ok {
			came = append(came, time.Duration(n.now)-n.latency)
		}
	}
	a.publish("x", 1)
	n.run(30 * time.Second)
	if len(came) == 0 || came[0] < 3*interval {
		t.Fatalf("pushed on at %v, want at 3s or later", came)
	}
	for _, at := range came {
		if at%interval != 0 {
			t.Errorf("pushed on at %v, in the middle of a cycle", at)
		}
	}
}

func TestATrimmedRumorIsNoneAnyMore(t *testing.T) {
	n := newNetwork(t, 10)
	a := n.add("a", mongering(Mongering{Mode: Push, K: 20})).interest("x")
	deaf := n.add("deaf", testConfig()).interest("x")
	n.connect(a, deaf)
	n.run(time.Second)
	deaf.puppet = func(*node, wire.Message) {}
	a.trim(a.publish("x", 1).ID)
	before := n.batches
	n.run(time.Second)
	if got := a.core.Stats().RumorsInfective; got != 0 || n.batches != before {
		t.Errorf("%d rumors after the only batch was trimmed; %d batches sent", got, n.batches-before)
	}
}

func TestARumorThatNobodyAnswersIsRemoved(t *testing.T) {
	n := newNetwork(t, 6)
	const interval = 20 * time.Millisecond
	a := n.add("a", without(mongering(Mongering{Mode: Push, K: 2, Interval: interval}))).interest("x")
	a.cfg.Topics[0].Mongering.Interval = time.Hour // New took a copy
	deaf := n.add("deaf", testConfig()).interest("x")
	n.connect(a, deaf)
	n.run(time.Second)
	pushes := 0
	deaf.puppet = func(_ *node, m wire.Message) {
		if _, ok := m.(*wire.Push); ok {
			pushes++
		}
	}
	id := a.publish("x", 1).ID
	n.run(50 * ageMax * interval)
	if most := ageMax + 2*ageFactor; a.core.State(id) != Removed || pushes > most || pushes < ageMax {
		t.Errorf("the rumor is %d after %d pushes, want Removed after %d", a.core.State(id), pushes, most)
	}
	if s := a.core.Stats(); s.RumorsUnanswered != 1 || s.RumorsRemoved != 1 {
		t.Errorf("%d unanswered, %d removed", s.RumorsUnanswered, s.RumorsRemoved)
	}
	if at := a.core.NextDeadline(); at != a.core.nextBeat {
		t.Errorf("with nothing to spread, the next deadline is %d, the beat %d", at, a.core.nextBeat)
	}
}

func TestFramesThatAreLostAreRepaired(t *testing.T) {
	for i, m := range variants {
		n := newNetwork(t, uint64(100+i))
		n.dropPush = 0.5
		nodes := n.group(8, mongering(m))
		for range 10 {
			nodes[0].publish("x", 1)
			n.run(100 * time.Millisecond)
		}
		n.run(20 * time.Second)
		n.dropPush = 0
		n.run(20 * time.Second)
		n.expect("x", 10, nodes...)
		if t.Failed() {
			t.Fatalf("%+v", m)
		}
	}
}

// Where some nodes monger and others have a tree, all is said to no harm, and
// anti-entropy brings what neither does.
func TestTreesAndMongersGetOnWithEachOther(t *testing.T) {
	for i, m := range variants {
		n := newNetwork(t, uint64(200+i))
		var nodes []*node
		for j := range 10 {
			cfg := testConfig()
			if j%2 == 0 {
				cfg = mongering(m)
			}
			nodes = append(nodes, n.add(fmt.Sprint("n", j), cfg).interest("x"))
		}
		n.connectAll(nodes...)
		n.run(time.Second)
		for j := range 20 {
			nodes[j%4].publish("x", 1)
			n.run(70 * time.Millisecond)
		}
		n.run(30 * time.Second)
		n.expect("x", 20, nodes...)
		if got := sum(nodes, func(s Stats) uint64 { return s.Demerits }); got > 0 {
			t.Errorf("%d demerits", got)
		}
		if t.Failed() {
			t.Fatalf("%+v", m)
		}
	}
}

func TestAPublisherThatDoesNotReadMongersToo(t *testing.T) {
	for _, mode := range []Mode{Push, Pull, PushPull} {
		n := newNetwork(t, 7)
		cfg := mongering(Mongering{Mode: mode, K: 2})
		nodes := n.group(5, cfg)
		p := n.add("p", cfg)
		p.publish("x", 1)
		for _, x := range nodes {
			n.connect(p, x)
		}
		n.run(time.Second)
		b := p.publish("x", 1)
		n.run(20 * time.Second)
		n.expect("x", 2, nodes...)
		if got := p.core.HeldBy("x", p.signer.Author(), b.Header.End()); got != 5 {
			t.Errorf("mode %d: a publisher knows of %d of 5 that hold its batch", mode, got)
		}
		if got := p.core.Stats().Accepted; got > 0 {
			t.Errorf("mode %d: a publisher that does not read was sent %d batches", mode, got)
		}
	}
}

func TestANodeWithNothingToSpreadHasNoDeadline(t *testing.T) {
	n := newNetwork(t, 8)
	cfg := without(mongering(Mongering{Mode: Push, K: 1}))
	cfg.HeartbeatInterval = 365 * 24 * time.Hour
	nodes := n.group(3, cfg)
	nodes[0].publish("x", 1)
	n.run(10 * time.Second)
	n.expect("x", 1, nodes...)
	for _, x := range nodes {
		if at := x.core.NextDeadline(); at < Time(cfg.HeartbeatInterval/2) {
			t.Errorf("%s has a deadline at %v", x.name, time.Duration(at))
		}
	}
	cfg.Topics[0].Mongering.Mode = Pull
	lone := n.add("lone", cfg).interest("x")
	if at := lone.core.NextDeadline(); at < Time(cfg.HeartbeatInterval/2) {
		t.Errorf("with nobody to pull from, the deadline is at %v", time.Duration(at))
	}
	n.connect(lone, nodes[0])
	n.run(time.Second)
	if at := lone.core.NextDeadline(); at > n.now.Add(cfg.Topics[0].Mongering.Interval) {
		t.Errorf("one that pulls has its next deadline in %v", time.Duration(at-n.now))
	}
}

func TestMongeringIsValidated(t *testing.T) {
	good := DefaultMongering()
	cfg := DefaultConfig()
	cfg.Topics = []TopicConfig{{Filter: "x.>", Mongering: &good}, {Filter: "y"}}
	if err := cfg.Validate(); err != nil {
		t.Error(err)
	}
	for field, spoil := range map[string]func(*Config, *Mongering){
		"Topics[0].Filter":                    func(c *Config, _ *Mongering) { c.Topics[0].Filter = "a..b" },
		"Topics[1].NoAntiEntropy":             func(c *Config, _ *Mongering) { c.Topics[1].NoAntiEntropy = true },
		"Topics[0].Mongering.Mode":            func(_ *Config, m *Mongering) { m.Mode = 3 },
		"Topics[0].Mongering.K":               func(_ *Config, m *Mongering) { m.K = 255 },
		"Topics[0].Mongering.Fanout":          func(_ *Config, m *Mongering) { m.Fanout = 0 },
		"Topics[0].Mongering.ConnectionLimit": func(_ *Config, m *Mongering) { m.ConnectionLimit = -1 },
		"Topics[0].Mongering.Hunt":            func(_ *Config, m *Mongering) { m.Hunt = 1 },
		"Topics[0].Mongering.Minimize":        func(_ *Config, m *Mongering) { m.Minimize, m.Coin = true, true },
		"Topics[0].Mongering.Interval":        func(_ *Config, m *Mongering) { m.Interval = 0 },
		"HeartbeatInterval":                   func(c *Config, _ *Mongering) { c.HeartbeatInterval = 1<<63 - 1 },
	} {
		c, m := cfg, good
		c.Topics = []TopicConfig{{Filter: "x.>", Mongering: &m}, {Filter: "y"}}
		spoil(&c, &m)
		if err := c.Validate(); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), field+" =") {
			t.Errorf("%s: %v", field, err)
		}
	}
}
