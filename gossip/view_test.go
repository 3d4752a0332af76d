package gossip

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// overlay is a network of nodes that find each other.
func overlay(t *testing.T, seed uint64, size int, cfg Config, topics ...string) (*network, []*node) {
	n := newNetwork(t, seed)
	n.exchange = true
	nodes := make([]*node, size)
	for i := range nodes {
		nodes[i] = n.add(fmt.Sprint("n", i), cfg).interest(topics...)
	}
	return n, nodes
}

// join connects all to the first, some at once and some a little later.
func (n *network) join(nodes []*node) {
	for i, x := range nodes[1:] {
		n.at(time.Duration(i)*20*time.Millisecond, func() { n.keep(x, nodes[0]) })
	}
}

// keep connects x to its seed, and again whenever x has no peer: what a node does
// that was told of one peer by its user.
func (n *network) keep(x, seed *node) {
	if x.core.Stats().Peers == 0 {
		n.connect(x, seed)
	}
	n.at(5*time.Second, func() { n.keep(x, seed) })
}

// parts returns how many parts the overlay of the topic has fallen into.
func parts(topic string, nodes []*node) (count int) {
	seen := map[*node]bool{}
	for _, x := range nodes {
		if x.dead || seen[x] {
			continue
		}
		count++
		seen[x] = true
		for queue := []*node{x}; len(queue) > 0; queue = queue[1:] {
			for _, id := range queue[0].neighbourIDs(topic) {
				if y := queue[0].net.byID[id][0]; !seen[y] {
					seen[y] = true
					queue = append(queue, y)
				}
			}
		}
	}
	return count
}

func (x *node) neighbourIDs(topic string) (ids []wire.PeerID) {
	if x.core.topics[topic] == nil {
		return nil // a puppet
	}
	for _, tp := range x.core.topics[topic].peers {
		if tp.neighbour() {
			ids = append(ids, tp.peer.id)
		}
	}
	return ids
}

func alive(nodes []*node) []*node {
	return slices.DeleteFunc(slices.Clone(nodes), func(x *node) bool { return x.dead })
}

// expectOverlay fails unless the nodes' overlay is whole and nobody has too few
// neighbours or too many connections.
func expectOverlay(t *testing.T, topic string, nodes []*node, least int) {
	t.Helper()
	if n := parts(topic, nodes); n != 1 {
		t.Errorf("the overlay is in %d parts", n)
	}
	for _, x := range nodes {
		s := x.core.Stats()
		if n := x.core.Neighbours(topic); n < least {
			t.Errorf("%s has %d neighbours, want %d; %+v", x.name, n, least, s)
		}
		if s.Peers > x.cfg.PeersMax {
			t.Errorf("%s has %d peers, at most %d", x.name, s.Peers, x.cfg.PeersMax)
		}
	}
}

func degrees(topic string, nodes []*node) string {
	var peers, neighbours []int
	for _, x := range nodes {
		peers = append(peers, x.core.Stats().Peers)
		neighbours = append(neighbours, x.core.Neighbours(topic))
	}
	slices.Sort(peers)
	slices.Sort(neighbours)
	mid := len(nodes) / 2
	return fmt.Sprintf("peers %d to %d, median %d; neighbours %d to %d, median %d", peers[0], peers[len(peers)-1],
		peers[mid], neighbours[0], neighbours[len(neighbours)-1], neighbours[mid])
}

const leastNeighbours = 6

func TestNodesThatKnowOneSeedBecomeOneOverlay(t *testing.T) {
	const size = 200
	n, nodes := overlay(t, 1, size, testConfig(), "x")
	n.join(nodes)
	n.run(30 * time.Second)
	expectOverlay(t, "x", nodes, leastNeighbours)
	t.Log(degrees("x", nodes), "the seed had", nodes[0].peersMost)
	dialled := 0
	for _, x := range nodes {
		dialled += x.dialled
	}
	t.Log(dialled, "dials succeeded,", n.sent["*wire.Shuffle"], "shuffles")
	before := dialled
	n.run(10 * time.Minute)
	expectOverlay(t, "x", nodes, leastNeighbours)
	dialled = 0
	for _, x := range nodes {
		dialled += x.dialled
	}
	t.Log(degrees("x", nodes), "10 minutes later;", dialled-before, "more dials,", n.sent["*wire.Shuffle"], "shuffles")
}

// healMax is how long the rest of an overlay takes to be whole again after half
// of the nodes vanished at once: two shuffles and two rounds of dials.
const healMax = 10 * time.Second

func TestTheRestFindsEachOtherWhenHalfOfTheNodesVanish(t *testing.T) {
	for seed := range uint64(3) {
		n, nodes := overlay(t, seed+1, 100, testConfig(), "x")
		n.join(nodes)
		n.run(time.Minute)
		expectOverlay(t, "x", nodes, leastNeighbours)
		for _, i := range n.rng.Perm(len(nodes))[:len(nodes)/2] {
			nodes[i].crash()
		}
		nodes[0].dead = true // nobody is left who would connect to the seed
		for _, x := range nodes[1:] {
			n.cut(x, nodes[0])
		}
		rest := alive(nodes)
		broken := parts("x", rest)
		n.run(healMax)
		expectOverlay(t, "x", rest, leastNeighbours)
		t.Logf("seed %d: %d parts at first; %v after: %s", seed+1, broken, healMax, degrees("x", rest))
		b := rest[0].publish("x", 1)
		n.run(5 * time.Second)
		n.expect("x", int(b.Header.Count), rest...)
	}
}

func TestALineOfNodesBecomesAnOverlay(t *testing.T) {
	n, nodes := overlay(t, 1, 30, testConfig(), "x")
	for i, x := range nodes[1:] {
		n.connect(nodes[i], x)
	}
	n.run(30 * time.Second)
	expectOverlay(t, "x", nodes, leastNeighbours)
}

func TestNodesThatKnowEachOtherDoNotThrash(t *testing.T) {
	n, nodes := overlay(t, 1, 40, testConfig(), "x")
	n.connectAll(nodes...)
	n.run(10 * time.Minute)
	for _, x := range nodes {
		if s := x.core.Stats(); s.DialsWished > 2 || s.PeersSurplus > 2 {
			t.Errorf("%s wished for %d peers and had %d too many", x.name, s.DialsWished, s.PeersSurplus)
		}
	}
	sent := n.sent["*wire.Shuffle"]
	n.run(10 * time.Minute)
	// One in four minutes and its answer, once nothing new comes.
	if more, most := n.sent["*wire.Shuffle"]-sent, len(nodes)*10; more > most {
		t.Errorf("%d shuffles in 10 minutes of quiet, want %d at most", more, most)
	}
}

func TestNodesThatLackNobodyShuffleSeldom(t *testing.T) {
	n, nodes := overlay(t, 1, testConfig().Degree+1, testConfig(), "x")
	n.join(nodes) // so that they hurry at first
	n.run(5 * time.Second)
	sent := n.sent["*wire.Shuffle"]
	n.run(15 * time.Second)
	if more := n.sent["*wire.Shuffle"] - sent; more > 0 {
		t.Errorf("%d shuffles in the first seconds after all are connected", more)
	}
}

func TestANodeThatCannotBeDialledFindsOthersAndIsToldToNobody(t *testing.T) {
	n, nodes := overlay(t, 1, 6, testConfig(), "x")
	hidden := nodes[5]
	hidden.core.SetRecord(nil)
	n.tap = func(x, y *node, m wire.Message) {
		if s, ok := m.(*wire.Shuffle); ok && slices.Contains(peersOf(s.Records), hidden.id) {
			t.Errorf("%s tells %s of it", x.name, y.name)
		}
	}
	n.join(nodes)
	n.run(30 * time.Second)
	if got := len(hidden.core.Peers("x")); got != 5 {
		t.Errorf("it has %d peers, want 5", got)
	}
}

func TestWithoutPeerExchangeNobodyIsToldOf(t *testing.T) {
	cfg := testConfig()
	cfg.NoPeerExchange = true
	n, nodes := overlay(t, 1, 10, testConfig(), "x")
	shy := n.add("shy", cfg).interest("x")
	n.tap = func(x, y *node, m wire.Message) {
		if s, ok := m.(*wire.Shuffle); ok && x == shy {
			t.Errorf("shy sends %s %+v", y.name, s)
		}
	}
	n.connect(shy, nodes[0])
	n.connect(shy, nodes[1])
	n.run(time.Minute)
	if s := shy.core.Stats(); s.DialsWished+uint64(s.Passive)+s.Shuffles > 0 || s.Peers != 2 {
		t.Errorf("shy has peers by exchange: %+v", s)
	}
	if nodes[0].links[nodes[1]] != 0 {
		t.Error("shy told its peers of each other")
	}
	// What its own discovery finds it connects to nevertheless.
	shy.core.Known("x", []wire.Record{recordOf(nodes[2].id), recordOf(nodes[3].id)})
	shy.step()
	n.run(time.Second)
	if shy.links[nodes[2]] == 0 || shy.links[nodes[3]] == 0 {
		t.Error("shy is not connected to what it found itself")
	}
}

func TestNobodyIsToldOfTopicsThatHeDoesNotShare(t *testing.T) {
	n, nodes := overlay(t, 1, 12, testConfig(), "common")
	interests := map[*node][]string{}
	for i, x := range nodes {
		interests[x] = []string{"common"}
		if own := fmt.Sprint("own.", i%3); i > 0 {
			x.interest(own)
			interests[x] = append(interests[x], own)
		}
	}
	publisher := n.add("publisher", testConfig())
	publisher.publish("own.1", 1)
	interests[publisher] = []string{"own.1"}
	told := 0
	n.tap = func(x, y *node, m wire.Message) {
		s, ok := m.(*wire.Shuffle)
		if !ok {
			return
		}
		told += len(s.Records)
		if !slices.Contains(interests[y], s.Topic) {
			t.Errorf("%s tells %s, who has no interest in it, of %s", x.name, y.name, s.Topic)
		}
		for _, r := range s.Records {
			if z := n.byID[r.Peer][0]; !slices.Contains(interests[z], s.Topic) || z == publisher {
				t.Errorf("%s tells of %s on %s, in which it has no interest", x.name, z.name, s.Topic)
			}
		}
	}
	n.join(nodes)
	n.connect(publisher, nodes[1])
	for i, x := range nodes[4:] { // each topic's nodes hang together, or nobody could tell them of each other
		n.connect(x, nodes[i+1])
	}
	n.run(time.Minute)
	if told == 0 {
		t.Error("nobody was told of at all")
	}
	for i, x := range nodes {
		others := 3 // of its own topic
		if i%3 == 0 {
			others = 2
		}
		if got := x.core.Neighbours(fmt.Sprint("own.", i%3)); i > 0 && got < others {
			t.Errorf("%s has %d neighbours on its own topic, want %d", x.name, got, others)
		}
	}
	if got := len(publisher.core.Peers("own.1")); got < publisherDegree {
		t.Errorf("the publisher has %d peers, want %d", got, publisherDegree)
	}
}

func TestFewConnectionsServeManyTopics(t *testing.T) {
	var topics []string
	for i := range 20 {
		topics = append(topics, fmt.Sprint("t", i))
	}
	n, nodes := overlay(t, 1, 40, testConfig(), topics...)
	n.join(nodes)
	n.run(time.Minute)
	for _, topic := range topics {
		expectOverlay(t, topic, nodes, leastNeighbours)
	}
	for _, x := range nodes[1:] {
		if s := x.core.Stats(); s.Peers > 4*x.cfg.Degree {
			t.Errorf("%s has %d peers for %d topics", x.name, s.Peers, len(topics))
		}
	}
}

// rejoinMax is how long two halves of an overlay, each of which has mended itself,
// take to be one again: a wait after some failed dials, shared among all that try.
const rejoinMax = 15 * time.Second

func TestHalvesThatHaveMendedThemselvesBecomeOneAgain(t *testing.T) {
	for seed := range uint64(3) {
		n, nodes := overlay(t, seed+1, 60, testConfig(), "x")
		n.join(nodes[:1])
		for i, x := range nodes[1:] {
			n.connect(nodes[i/2], x)
		}
		n.run(time.Minute)
		half := len(nodes) / 2
		n.wall = map[*node]bool{}
		for _, x := range nodes[:half] {
			n.wall[x] = true
		}
		for _, x := range nodes[:half] {
			for _, y := range nodes[half:] {
				n.cut(x, y)
			}
		}
		n.run(2 * time.Minute)
		if got := parts("x", nodes); got != 2 {
			t.Errorf("seed %d: %d parts while the network is cut in two", seed, got)
		}
		n.wall = nil
		n.run(rejoinMax)
		expectOverlay(t, "x", nodes, leastNeighbours)
		b := nodes[0].publish("x", 1)
		n.run(2 * time.Second)
		n.expect("x", int(b.Header.Count), nodes...)
	}
}
