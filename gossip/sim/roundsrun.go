package sim

import (
	"crypto/ed25519"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/busnode/busnode/gossip"
	"github.com/busnode/busnode/gossip/wire"
)

// rounds is one network.
type rounds struct {
	*Rounds
	rng                  *rand.Rand
	now                  gossip.Time
	cycle                int
	nodes                []roundNode
	slots                int
	partners             []int32       // by node and slot, of the cycle that roundNode.drawn tells, or nobody
	anyone               []wire.PeerID // the anycast peers' names, alike at all nodes
	due                  []int32       // nodes with something to do in the next cycle
	spare                []int32
	begun, talk, answers []contact // scratch
	tally                Tally
	code                 []byte
	questionSize         int // of a contact that names no rumors, alike at all nodes; 0: there was none yet

	// Of the rumor under way.
	batch     *wire.Batch
	news      *wire.Push
	short     wire.ShortID
	pushSize  int
	sent      int     // times that it was sent
	asked     bool    // what is said now is said by a node that another contacted
	reached   int     // nodes that have it
	infective []int32 // nodes that were, when last looked at, and those that it reached since
	curve     []Sample

	hops int
	out  *RoundsOutcome
}

// nobody stands for no node, and for never.
const nobody = -1

type roundNode struct {
	core      *gossip.Core
	ticked    gossip.Time
	listed    bool  // in rounds.due
	suspect   bool  // in rounds.infective
	infective bool  // when last looked at
	got       int32 // cycle of arrival of the present rumor, or nobody
	from      int32
	hops      int32
	looked    int // in which cycle it was last looked at
	drawn     int // the cycle that its partners are of
}

// contact is a message on its way in a cycle.
type contact struct {
	from, to int32 // to: nobody, if it is not drawn yet
	slot     int
	msg      wire.Message // nil: the batch
}

// start makes a node and has its anycast peers say what a peer with the same
// interest says.
func (x *rounds) start(i int, signers []wire.Signer) {
	n := &x.nodes[i]
	var key wire.Author
	for j := 0; j < len(key); j += 8 {
		binary.BigEndian.PutUint64(key[j:], x.rng.Uint64())
	}
	if i < len(signers) {
		signers[i] = wire.NewSigner(ed25519.NewKeyFromSeed(key[:]))
		key = signers[i].Author()
	}
	core, err := gossip.New(key, x.config(), x.rng.Uint64(), 0, Start)
	mustf(err == nil, "%v", err)
	n.core = core
	core.SetEpoch(wire.Epoch(uint64(Start) / 1e6 << 16))
	core.AddInterest(Topic)
	for j, id := range x.anyone {
		core.PeerUp(id, gossip.PeerInfo{})
		core.Tick(0, Start)
		mine := uint64(0)
		out := core.Take()
		for _, s := range out.Send {
			if m, ok := s.Msg.(*wire.Hello); ok {
				mine = m.Mine
			}
		}
		core.Receive(id, &wire.Hello{Mine: uint64(j + 1), Yours: mine})
		core.Receive(id, &wire.Interest{Add: []string{Topic}})
		core.Receive(id, &wire.Topics{Add: []wire.TopicEntry{{Name: Topic}}})
	}
	core.Tick(0, Start)
	core.Take()
	x.enlist(int32(i))
}

// enlist has the node act in the next cycle if it has something to do then.
func (x *rounds) enlist(i int32) {
	n := &x.nodes[i]
	if !n.listed && n.core.NextDeadline() <= x.at(x.cycle+1) {
		n.listed = true
		x.due = append(x.due, i)
	}
}

func (x *rounds) at(cycle int) gossip.Time {
	return gossip.Time(cycle) * gossip.Time(x.Mongering.Interval)
}

func (x *rounds) wall() wire.Time { return Start.Add(time.Duration(x.now)) }

// spread lets one rumor run its course.
func (x *rounds) spread(publisher int, signer wire.Signer, tell func(float64) bool) bool {
	x.publish(publisher, signer)
	limit := x.CyclesMax
	if limit == 0 {
		limit = cyclesMax
	}
	begin, sum := x.cycle, 0
	var f Figures
	for c := 0; ; c++ {
		begun := x.beginCycle()
		x.look(c) // now that they have judged the contacts of the cycle before
		if len(x.infective) == 0 || c == limit {
			f.Rounds = float64(c)
			break
		}
		if !tell(float64(x.reached) / float64(x.Nodes)) {
			return false
		}
		before := x.reached
		x.deliver(begun)
		if arrived := x.reached - before; arrived > 0 {
			sum += arrived * (x.cycle - begin)
			f.TLast = float64(x.cycle - begin)
		}
	}
	f.Residue = 1 - float64(x.reached)/float64(x.Nodes)
	f.Traffic = float64(x.sent) / float64(x.Nodes)
	if x.reached > 1 {
		f.TAve = float64(sum) / float64(x.reached-1)
	}
	x.out.Rumors = append(x.out.Rumors, f)
	x.out.Curve = SumCurves(x.out.Curve, x.curve)
	x.curve = x.curve[:0]
	if publisher == 0 {
		x.tree(begin)
	}
	return true
}

func (x *rounds) publish(publisher int, signer wire.Signer) {
	n := &x.nodes[publisher]
	h := wire.Header{
		Version: 1, Network: network, Topic: Topic, Epoch: wire.Epoch(uint64(Start) / 1e6 << 16), First: 1, Count: 1,
		Time: x.wall(),
	}
	body := wire.AppendEvent(nil, h.Time, &wire.Event{Time: h.Time, Payload: make([]byte, x.Payload)})
	b, err := wire.Seal(h, body, signer)
	mustf(err == nil, "%v", err)
	for i := range x.nodes {
		n := &x.nodes[i]
		n.got, n.hops, n.suspect = nobody, 0, false
	}
	x.batch, x.short, x.news, x.sent, x.reached = b, b.ID.Short(), &wire.Push{Batch: b}, 0, 1
	x.pushSize = len(wire.AppendPush(x.code[:0], b.Raw, false))
	n.got, n.from = int32(x.cycle), int32(publisher)
	x.tick(int32(publisher))
	n.core.Publish(b.ID, &b.Header)
	n.core.Tick(x.now, x.wall())
	x.infective, n.suspect = append(x.infective[:0], int32(publisher)), true
	x.begun = x.take(x.begun[:0], int32(publisher), nobody, 0)
	mustf(len(x.begun) == 0, "a rumor is spread in the cycle of its publication")
}

// look counts who is in which state now, after c cycles.
func (x *rounds) look(c int) {
	still := x.infective[:0]
	for _, i := range x.infective {
		n := &x.nodes[i]
		if n.looked != x.cycle {
			x.lookAt(n)
		}
		if n.suspect = n.infective; n.infective {
			still = append(still, i)
		}
	}
	x.infective = still
	x.curve = append(x.curve, Sample{
		At: time.Duration(c), Susceptible: float64(x.Nodes - x.reached),
		Infective: float64(len(still)), Removed: float64(x.reached - len(still)),
	})
}

// lookAt looks whether the node spreads the rumor in this cycle.
func (x *rounds) lookAt(n *roundNode) {
	n.looked, n.infective = x.cycle, n.core.State(x.batch.ID) == gossip.Infective
}

// beginCycle has all nodes act on what they know when a cycle begins, and returns
// the contacts that they begin.
func (x *rounds) beginCycle() []contact {
	x.cycle++
	x.now = x.at(x.cycle)
	due := x.due
	x.due, x.spare = x.spare[:0], due
	x.rng.Shuffle(len(due), func(a, b int) { due[a], due[b] = due[b], due[a] })
	for _, i := range due {
		x.nodes[i].listed = false
	}
	begun := x.begun[:0]
	for _, i := range due {
		x.tick(i)
		begun = x.take(begun, i, nobody, 0)
		if n := &x.nodes[i]; n.suspect {
			x.lookAt(n) // now, for its core is at hand
		}
	}
	return begun
}

// deliver has the contacts of a cycle take place, one after the other.
func (x *rounds) deliver(begun []contact) {
	for k := 0; k < len(begun); k++ { // it grows: who is refused hunts another partner
		begun = x.converse(begun, begun[k])
	}
	clear(begun)
	x.begun = begun[:0]
}

// converse delivers what begins a contact, and all that the two say then.
func (x *rounds) converse(begun []contact, first contact) []contact {
	first.to = x.partner(first.from, first.slot)
	if x.idle(&first) {
		return begun
	}
	talk := append(x.talk[:0], first)
	for k := 0; k < len(talk); k++ {
		if c := talk[k]; x.Loss == 0 || x.rng.Float64() >= x.Loss {
			x.receive(&c)
			x.asked = c.to != first.from
			answers := x.take(x.answers[:0], c.to, c.from, c.slot)
			x.asked = false
			for _, a := range answers {
				if a.to == c.from {
					talk = append(talk, a)
				} else {
					begun = append(begun, a)
				}
			}
			x.answers = answers
		}
	}
	clear(talk)
	x.talk = talk[:0]
	return begun
}

// idle reports whether a contact begins with a question that is not answered, for whoever
// is asked spreads nothing: most are, before and after a rumor's peak. It need not be delivered.
func (x *rounds) idle(c *contact) bool {
	m, ok := c.msg.(*wire.Contact)
	return ok && len(m.Rumors) == 0 && x.Mongering.ConnectionLimit == 0 && !x.nodes[c.to].infective && !x.whole
}

// partner returns the node that the slot's anycast peer stands for in this cycle.
func (x *rounds) partner(i int32, slot int) int32 {
	n := &x.nodes[i]
	partners := x.partners[int(i)*x.slots:][:x.slots]
	if n.drawn != x.cycle {
		n.drawn = x.cycle
		for k := range partners {
			partners[k] = nobody
		}
	}
	for partners[slot] == nobody {
		p := int32(x.rng.IntN(x.Nodes))
		if p != i && !slices.Contains(partners, p) {
			partners[slot] = p
		}
	}
	return partners[slot]
}

// slotOf returns the number that the name of an anycast peer ends with.
func slotOf(id wire.PeerID) int { return int(id[len(id)-2])<<8 | int(id[len(id)-1]) }

func (x *rounds) tick(i int32) {
	n := &x.nodes[i]
	if n.ticked < x.now {
		n.ticked = x.now
		n.core.Tick(x.now, x.wall())
	}
}

func (x *rounds) receive(c *contact) {
	x.tick(c.to)
	n := &x.nodes[c.to]
	m := c.msg
	if m == nil {
		m = x.news
		x.tally.received(0, false)
		if n.got == nobody {
			n.got, n.from, n.hops = int32(x.cycle), c.from, x.nodes[c.from].hops+1
			x.hops = max(x.hops, int(n.hops))
			x.reached++
			x.infective, n.suspect = append(x.infective, c.to), true
		}
	}
	n.core.Receive(x.anyone[c.slot], m)
}

// take carries out what the node's core wants, and appends what it says to list:
// on the slot that it was spoken to by peer to that one, else to somebody.
func (x *rounds) take(list []contact, i, peer int32, slot int) []contact {
	core := x.nodes[i].core
	for again := true; again; {
		out := core.Take()
		if len(out.Disconnect) > 0 {
			mustf(false, "node %d disconnects: %v", i, out.Disconnect)
		}
		for _, s := range out.Send {
			c := contact{from: i, to: nobody, slot: slotOf(s.To), msg: s.Msg}
			if peer != nobody && c.slot == slot {
				c.to = peer
			}
			x.count(&c)
			list = append(list, c)
		}
		if again = len(out.Persist) > 0; again {
			core.Stored(out.Persist)
			core.Tick(x.now, x.wall())
		}
	}
	x.enlist(i)
	return list
}

// count counts what is said. In the papers a response to a pull carries the update,
// needed or not; here it names it, and carries it if need be. So that the figures compare, a
// rumor that whoever is asked names counts as sent, and its being sent for that does not.
func (x *rounds) count(c *contact) {
	if c.msg == nil {
		if !x.asked {
			x.sent++
		}
		x.tally.sent(nil, 0, x.pushSize, false)
		return
	}
	switch m := c.msg.(type) {
	case *wire.Rumors:
		for i := range m.Rumors {
			if m.Rumors[i].ID == x.short {
				x.sent++
			}
		}
	case *wire.Contact:
		if len(m.Rumors) > 0 {
			break
		}
		if x.questionSize == 0 {
			x.questionSize = x.sizeOf(m)
		}
		x.tally.sent(m, -1, x.questionSize, false)
		return
	}
	x.tally.sent(c.msg, -1, x.sizeOf(c.msg), false)
}

func (x *rounds) sizeOf(m wire.Message) int {
	x.code = wire.AppendMessage(x.code[:0], m)
	return len(x.code)
}

// tree notes how the rumor came to each node.
func (x *rounds) tree(begin int) {
	for i := range x.nodes {
		if n := &x.nodes[i]; n.got != nobody {
			x.out.Tree = append(x.out.Tree, TreeHop{
				Node: i, From: int(n.from), At: time.Duration(int(n.got) - begin), Hops: int(n.hops),
			})
		}
	}
}
