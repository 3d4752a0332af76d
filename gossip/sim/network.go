package sim

import (
	"encoding/binary"
	"math"
	"slices"
	"time"

	"github.com/busnode/busnode/gossip"
	"github.com/busnode/busnode/gossip/wire"
)

// Network is what all links have in common.
type Network struct {
	Latency time.Duration // one way
	Jitter  time.Duration // a frame takes up to so much more or less than Latency
	Rate    int           // bytes a second of each node's uplink, and of its downlink; 0: no limit
	// Loss is the share of packets that are lost. A stream sends them again after a
	// probe timeout, and what follows in the same lane waits.
	Loss float64
}

// Faults are what a stream carrier keeps from its user. They strike frames at
// random, but for those that make a connection (Hello, Interest, Topics, Link):
// these arrive, in order, or there is no connection.
type Faults struct {
	Drop      float64 // share of frames that vanish
	Duplicate float64 // that come twice
	Reorder   float64 // that come up to ReorderBy late, behind what was sent after them
	ReorderBy time.Duration
	Corrupt   float64 // that have a bit flipped; needs Params.Encode
	Outbox    float64 // share of pushes, and of batches asked for, that meet a full outbox
}

// packetBytes is what fits a packet, about, as QUIC makes them.
const packetBytes = 1200

// ackDelay is what a QUIC receiver may keep back an acknowledgement for: part of
// the probe timeout (RFC 9002, 6.2.1).
const ackDelay = 25 * time.Millisecond

// What the driver's outboxes hold of batches for one peer (gossip/driver, outbox.go):
// beyond that pushes are dropped and the core is told.
const (
	newsMaxBytes   = 4 << 20
	repairMaxBytes = 8 << 20
	frameBytes     = 256 << 10 // that the driver gathers into one frame
)

// link is one end of a connection.
type link struct {
	peer    *Node
	down    bool
	open    [2]*delivery
	reach   [2]gossip.Time // when the newest frame of the lane begins to come in: the next does not sooner
	last    [2]gossip.Time // when the newest frame of the lane arrives: the next comes no sooner
	waiting [2]int         // bytes of batches that wait for the uplink
	full    [2]bool        // a push was dropped for that
	stalled []*delivery    // that a partition holds up
}

// item is one message of a frame.
type item struct {
	msg   wire.Message
	batch int32 // of a push, else -1
}

// delivery is a frame on its way.
type delivery struct {
	from, to *Node
	link     *link // the sender's end
	lane     gossip.Lane
	setup    bool // makes a connection
	corrupt  bool
	size     int
	pushes   int // bytes of batches in it
	items    []item
	room     [2]item   // for them: most frames have no more
	frame    []byte    // encoded, if Params.Encode
	next     *delivery // in the list of those for use again
}

func (s *Sim) newDelivery(from *Node, l *link, lane gossip.Lane) *delivery {
	d := s.free
	if d == nil {
		d = &delivery{}
		d.items = d.room[:0]
	} else {
		s.free = d.next
	}
	*d = delivery{from: from, to: l.peer, link: l, lane: lane, items: d.items[:0], frame: d.frame[:0]}
	return d
}

func (s *Sim) release(d *delivery) {
	clear(d.items)
	d.from, d.to, d.link = nil, nil, nil
	d.next, s.free = s.free, d
}

// add puts a message into the frame.
func (d *delivery) add(s *Sim, m wire.Message, batch int) {
	size := 0
	switch {
	case batch >= 0:
		raw := s.store.batches[batch].Batch.Raw
		s.code = wire.PushPrefix(s.code[:0], len(raw), d.lane == gossip.Repair)
		size = len(s.code) + len(raw)
		d.pushes += size
		if s.params.Encode {
			d.frame = append(append(d.frame, s.code...), raw...)
		}
	case s.params.Encode:
		before := len(d.frame)
		d.frame = wire.AppendMessage(d.frame, m)
		size = len(d.frame) - before
	default:
		s.code = wire.AppendMessage(s.code[:0], m)
		size = len(s.code)
	}
	switch m.(type) {
	case *wire.Hello, *wire.Interest, *wire.Topics, *wire.Link:
		d.setup = true
	}
	d.size += size
	d.items = append(d.items, item{m, int32(batch)})
	s.tally.sent(m, batch, size, d.lane == gossip.Repair)
}

// dispatch sends a frame off, with the faults that befall it.
func (s *Sim) dispatch(d *delivery) {
	if s.traced {
		s.note(d.from.Index, d.to.Index, d.size, d.frame)
	}
	if !d.setup {
		if s.chance(s.Faults.Drop) {
			s.tally.Dropped++
			s.release(d)
			return
		}
		// What is held up anyhow comes neither twice nor late.
		passes := !s.blocked(d.from, d.to) && d.from.frozen <= s.now
		if s.chance(s.Faults.Duplicate) && passes {
			twin := s.newDelivery(d.from, d.link, d.lane)
			twin.items, twin.frame = append(twin.items, d.items...), append(twin.frame, d.frame...)
			twin.size = d.size
			s.queue.push(s.now.Add(s.latency()+s.Net.Latency), arrive{twin})
		}
		if s.params.Encode && s.chance(s.Faults.Corrupt) {
			d.corrupt = true
			d.frame[s.rng.IntN(len(d.frame))] ^= 1 << s.rng.IntN(8)
		}
		if s.chance(s.Faults.Reorder) && passes {
			late := time.Duration(s.rng.Int64N(int64(s.Faults.ReorderBy) + 1))
			s.queue.push(s.now.Add(s.latency()+late), arrive{d})
			return
		}
	}
	s.transfer(d)
}

func (s *Sim) chance(p float64) bool { return p > 0 && s.rng.Float64() < p }

// latency returns how long a frame's first byte takes.
func (s *Sim) latency() time.Duration {
	if s.Net.Jitter <= 0 {
		return s.Net.Latency
	}
	return max(0, s.Net.Latency+time.Duration(s.rng.Int64N(int64(2*s.Net.Jitter)+1))-s.Net.Jitter)
}

// transfer puts a frame on the link.
func (s *Sim) transfer(d *delivery) {
	l := d.link
	if l.down {
		s.release(d) // the link went down while it waited
		return
	}
	if s.blocked(d.from, d.to) {
		l.stalled = append(l.stalled, d)
		l.waiting[d.lane] += d.pushes
		return
	}
	if s.Net.Rate > 0 {
		n := d.from
		if n.look != 0 || s.now < max(n.upFree, n.frozen) {
			n.up[d.lane] = append(n.up[d.lane], d)
			l.waiting[d.lane] += d.pushes
			n.lookLater()
			return
		}
		n.launch(d)
		return
	}
	depart := max(s.now, d.from.frozen)
	at := max(depart.Add(s.latency()+s.resent(d.size)), l.last[d.lane])
	l.last[d.lane] = at
	s.queue.push(at, arrive{d})
}

// resent returns by how much a frame comes later because packets of it were lost.
func (s *Sim) resent(size int) (late time.Duration) {
	if s.Net.Loss <= 0 {
		return 0
	}
	probe := 3*s.Net.Latency + ackDelay // 1.5 round trips
	most := 0
	for range (size + packetBytes - 1) / packetBytes {
		n := 0
		for s.chance(s.Net.Loss) {
			n++
		}
		most = max(most, n)
	}
	for i := range most {
		late += probe << min(i, 6)
	}
	return late
}

// lookLater sees to it that what waits for the uplink leaves as soon as that is
// free. While nothing waits, that the uplink becomes free is no event.
func (n *Node) lookLater() {
	if n.look == 0 && len(n.up[0])+len(n.up[1]) > 0 {
		n.look = max(n.upFree, n.frozen, n.sim.now)
		n.sim.queue.push(n.look, uplink{n})
	}
}

// uplinkFree is called when the uplink is to be looked at again. Of a time before a
// crash it is not.
func (n *Node) uplinkFree(at gossip.Time) {
	if n.look != at {
		return
	}
	n.look = 0
	// It may have been clogged meanwhile, or a wall holds up what waited.
	if n.sim.now >= n.frozen && len(n.up[0])+len(n.up[1]) > 0 {
		n.transmit()
	}
	n.lookLater()
}

// transmit puts the next frame that waits on the uplink, which is free. Lanes
// take turns.
func (n *Node) transmit() {
	if len(n.up[n.turn]) == 0 {
		n.turn = 1 - n.turn
	}
	waiting := n.up[n.turn]
	d := waiting[0]
	waiting[0] = nil
	n.up[n.turn] = waiting[1:]
	if len(n.up[n.turn]) == 0 {
		n.up[n.turn] = nil // begin at the front of a new one, so that it does not grow for ever
	}
	n.turn = 1 - n.turn
	if l := d.link; !l.down {
		l.waiting[d.lane] -= d.pushes
		n.drained(l, d.lane)
	}
	n.launch(d)
}

// launch puts a frame on the uplink, which is free.
func (n *Node) launch(d *delivery) {
	s, l := n.sim, d.link
	n.upFree = s.now.Add(s.sending(d.size))
	at := max(s.now.Add(s.latency()), l.reach[d.lane])
	l.reach[d.lane] = at
	s.queue.push(at, reach{d})
}

// sending returns how long a frame takes to leave, or to come in.
func (s *Sim) sending(size int) time.Duration {
	if s.Net.Rate <= 0 {
		return 0 // there was a limit when it was put on the uplink
	}
	return time.Duration(math.Ceil(float64(size) * float64(time.Second) / float64(s.Net.Rate)))
}

// reach has a frame, whose first byte is there, come in through the downlink.
func (s *Sim) reach(d *delivery) {
	l := d.link
	if l.down {
		s.release(d)
		return
	}
	begin := max(s.now, d.to.down)
	d.to.down = begin.Add(s.sending(d.size))
	at := max(d.to.down.Add(s.resent(d.size)), l.last[d.lane])
	l.last[d.lane] = at
	s.queue.push(at, arrive{d})
}

func (s *Sim) arrive(d *delivery) {
	if !d.link.down && d.to.core != nil {
		d.to.receive(d)
	}
	s.release(d)
}

// linkTo returns the node's end of its connection to the peer, or nil.
func (n *Node) linkTo(peer *Node) *link {
	if i, ok := n.findLink(peer); ok {
		return n.links[i]
	}
	return nil
}

// linkNamed is linkTo for a peer that the core names. It is on the way of each message: the tags are
// side by side in memory, where links, peers and names are not.
func (n *Node) linkNamed(id wire.PeerID) *link {
	if i := slices.Index(n.tags, tagOf(id)); i >= 0 {
		return n.links[i]
	}
	return nil
}

// tagOf returns a number by which the names of nodes differ: they are random.
func tagOf(id wire.PeerID) uint64 {
	var last [8]byte
	copy(last[:], id[len(id)-len(last):])
	return binary.BigEndian.Uint64(last[:])
}

func (n *Node) addLink(peer *Node) {
	i, _ := n.findLink(peer)
	tag := tagOf(peer.id)
	mustf(!slices.Contains(n.tags, tag), "two nodes have nearly one name")
	n.links, n.tags = slices.Insert(n.links, i, &link{peer: peer}), slices.Insert(n.tags, i, tag)
}

func (n *Node) findLink(peer *Node) (int, bool) {
	lo, hi := 0, len(n.links)
	for lo < hi {
		mid := (lo + hi) / 2
		if n.links[mid].peer.Index < peer.Index {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo, lo < len(n.links) && n.links[lo].peer == peer
}
