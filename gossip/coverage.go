package gossip

import (
	"slices"
	"time"
)

// Coverage: which members streams lead to, and so need no segment. On a topic, a chain of
// streams leads over nodes that want it, for others carry nothing of it. Of peers and
// members it is known what they want; of whom members merely tell that they are connected
// to it is not, and they are taken for links of the chain.

const (
	coverTopics = 256             // topics with which coverage is looked at each time that segments are
	coverRarely = 2 * time.Second // the same, with more
)

// coverage is one look at the graph of streams. Its nodes are tags, numbered as they are met.
type coverage struct {
	nodes  map[uint32]int // the number of each tag
	tells  [][]int        // by place in peerList: its own node, then those that it has streams to
	told   [][]int        // by node: the places of those that tell of it
	self   int
	wants  []bool            // by place in peerList, on the topic at hand
	passed []bool            // by node: reached; or nothing leads on from there
	queue  []int             // nodes reached, and not gone on from yet
	found  map[string][]bool // by who wants: who is reached; looked up, never ranged over
	key    []byte
}

// coverage returns the graph as it is now.
func (c *Core) coverage() *coverage {
	g := &coverage{
		nodes: make(map[uint32]int, len(c.peerList)), tells: make([][]int, len(c.peerList)),
		wants: make([]bool, len(c.peerList)), found: map[string][]bool{},
	}
	g.self = g.node(c.selfID.Tag())
	for i, p := range c.peerList {
		g.tell(i, p.tag())
		for _, m := range p.heard {
			for _, tag := range m.presence.Peers {
				g.tell(i, tag)
			}
		}
	}
	g.passed = make([]bool, len(g.told))
	return g
}

func (g *coverage) node(tag uint32) int {
	n, ok := g.nodes[tag]
	if !ok {
		n = len(g.told)
		g.nodes[tag] = n
		g.told = append(g.told, nil)
	}
	return n
}

func (g *coverage) tell(i int, tag uint32) {
	n := g.node(tag)
	g.tells[i] = append(g.tells[i], n)
	g.told[n] = append(g.told[n], i)
}

// cover finds out which members a chain of streams leads to.
func (c *Core) cover() {
	l := &c.lan
	l.coverAt = c.now
	if len(c.topicList) > coverTopics {
		l.coverAt = c.now.Add(coverRarely)
	}
	g := c.coverage()
	for _, t := range c.topicList {
		if t.listed {
			c.coverTopic(g, t)
		}
	}
	for _, s := range l.list {
		for _, m := range s.members {
			covered := m.peer == nil || !slices.ContainsFunc(m.peer.topics, func(tp *topicPeer) bool {
				return tp.topic.listed && !tp.covered
			})
			if m.covered && !covered {
				m.uncovered = c.now
			}
			m.covered = covered
		}
	}
}

// tag returns by what presences name the peer.
func (p *peer) tag() uint32 {
	if len(p.heard) > 0 {
		return p.heard[0].tag
	}
	return p.id.Tag()
}

// coverTopic notes who is reached on the topic. Topics that the same peers want need one
// look.
func (c *Core) coverTopic(g *coverage, t *topic) {
	clear(g.wants)
	g.key = g.key[:0]
	for i, j := 0, 0; i < len(c.peerList) && j < len(t.peers); i++ {
		if t.peers[j].peer != c.peerList[i] {
			continue
		}
		if g.wants[i] = t.peers[j].wants; g.wants[i] {
			g.key = append(g.key, byte(i), byte(i>>8), byte(i>>16))
		}
		j++
	}
	reached, ok := g.found[string(g.key)]
	if !ok {
		reached = c.reach(g)
		g.found[string(g.key)] = reached
	}
	for i, j := 0, 0; i < len(c.peerList) && j < len(t.peers); i++ {
		if t.peers[j].peer == c.peerList[i] {
			t.peers[j].covered = reached[i]
			j++
		}
	}
}

// reach returns to which of peerList a chain of streams leads from this node. The work is
// that of what is told, however long the chains are.
func (c *Core) reach(g *coverage) []bool {
	reached := make([]bool, len(c.peerList))
	clear(g.passed)
	g.passed[g.self] = true
	for i, wants := range g.wants {
		if !wants {
			g.passed[g.tells[i][0]] = true
		}
	}
	for i, p := range c.peerList {
		if !p.member() {
			reached[i] = true
			g.pass(i)
		}
	}
	for len(g.queue) > 0 {
		n := g.queue[len(g.queue)-1]
		g.queue = g.queue[:len(g.queue)-1]
		for _, i := range g.told[n] {
			if !reached[i] {
				reached[i] = true
				g.pass(i)
			}
		}
	}
	return reached
}

// pass queues whom a peer, which is reached, passes on to.
func (g *coverage) pass(i int) {
	if !g.wants[i] {
		return
	}
	for _, n := range g.tells[i] {
		if !g.passed[n] {
			g.passed[n] = true
			g.queue = append(g.queue, n)
		}
	}
}
