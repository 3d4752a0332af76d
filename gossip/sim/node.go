package sim

import (
	"crypto/ed25519"
	"encoding/binary"
	"slices"
	"time"

	"github.com/busnode/busnode/gossip"
	"github.com/busnode/busnode/gossip/wire"
)

// Node is a core with a log and its links.
type Node struct {
	Index int
	// Skew is how far its clock is off.
	Skew time.Duration

	sim    *Sim
	id     wire.PeerID
	author wire.Author
	signer wire.Signer // nil: it never publishes
	config *gossip.Config
	core   *gossip.Core // nil: it is down
	phase  time.Duration
	gone   bool        // for good
	began  gossip.Time // when it last started
	filter []string
	former []string    // interests that were taken back
	wake   gossip.Time // when its deadline's event is due; 0: there is none
	links  []*link     // by the peer's index
	tags   []uint64    // of the same peers' names, see tagOf
	kept   []*Node     // the overlay's links, up or not
	log    nodeLog

	up     [2][]*delivery // what waits for the uplink
	turn   gossip.Lane
	look   gossip.Time // when the uplink is to be looked at again; 0: nothing waits for it
	upFree gossip.Time // until then the uplink is busy
	frozen gossip.Time // until then nothing leaves
	down   gossip.Time // until then the downlink is busy

	epoch  wire.Epoch
	hlc    wire.Time // newest date met
	failed []wire.BatchID
}

// NodeParams are what a node is made with.
type NodeParams struct {
	// Publisher: it has a key that signs, which takes 20 µs to make. Others have but a name.
	Publisher bool
	// Filters are its interests.
	Filters []string
	// Config of its core. Nil: that of the simulation.
	Config *gossip.Config
	// Phase is how far its monotonic clock is ahead: nodes do not count time from
	// one moment. Negative: at random, within an hour.
	Phase time.Duration
	Skew  time.Duration
}

// Add makes a node and starts it. It has no links.
func (s *Sim) Add(p NodeParams) *Node {
	n := &Node{Index: len(s.nodes), sim: s, config: p.Config, filter: p.Filters, phase: p.Phase, Skew: p.Skew}
	if n.config == nil {
		n.config = s.params.Config
	}
	if n.phase < 0 {
		n.phase = time.Duration(s.rng.Int64N(int64(time.Hour)))
	}
	for i := 0; i < len(n.author); i += 8 {
		binary.BigEndian.PutUint64(n.author[i:], s.rng.Uint64())
	}
	if p.Publisher {
		n.signer = wire.NewSigner(ed25519.NewKeyFromSeed(n.author[:]))
		n.author = n.signer.Author()
	}
	n.id = n.author.PeerID()
	mustf(s.byID[n.id] == nil, "two nodes have one name")
	s.nodes = append(s.nodes, n)
	s.byID[n.id] = n
	n.start()
	return n
}

// ID returns the node's peer ID.
func (n *Node) ID() wire.PeerID { return n.id }

// Author returns the key of the node's batches.
func (n *Node) Author() wire.Author { return n.author }

// Core returns the node's core, or nil while it is down. Inputs to it must be
// followed by [Node.Step].
func (n *Node) Core() *gossip.Core { return n.core }

// Up reports whether the node runs.
func (n *Node) Up() bool { return n.core != nil }

// Neighbours returns the nodes that it is connected with now.
func (n *Node) Neighbours() []*Node {
	peers := make([]*Node, len(n.links))
	for i, l := range n.links {
		peers[i] = l.peer
	}
	return peers
}

func (n *Node) time() gossip.Time { return n.sim.now.Add(n.phase) }
func (n *Node) wall() wire.Time   { return Start.Add(time.Duration(n.sim.now) + n.Skew) }

// start makes a core from what the log holds.
func (n *Node) start() {
	core, err := gossip.New(n.author, *n.config, n.sim.rng.Uint64(), n.time(), n.wall())
	mustf(err == nil, "node %d: %v", n.Index, err)
	n.core, n.wake, n.began = core, 0, n.sim.now
	n.log.restore(n)
	core.Restored()
	n.epoch = wire.Epoch(uint64(n.wall())/1e6<<16 | n.sim.rng.Uint64()&0xffff)
	n.epoch = max(n.epoch, core.NewestEpoch()+1)
	core.SetEpoch(n.epoch)
	if n.sim.params.Exchange {
		core.SetRecord(n.Record().Signed)
	}
	for _, f := range n.filter {
		core.AddInterest(f)
	}
	n.step()
}

// Crash ends the node at once. Its neighbours find that out after
// Params.DetectAfter. Without restart, it is gone for good: nobody tries to reach it.
func (n *Node) Crash(restart bool) {
	if n.core == nil {
		n.gone = n.gone || !restart
		return
	}
	n.stopped()
	n.core, n.gone = nil, !restart
	n.log.crash()
	n.up, n.look, n.upFree, n.frozen, n.down = [2][]*delivery{}, 0, 0, 0, 0
	for _, l := range n.links {
		n.sim.suspect(n, l.peer)
	}
}

// Leave ends the node in order: its neighbours know at once. It does not come back.
func (n *Node) Leave() {
	if n.core != nil {
		n.stopped()
	}
	n.core, n.gone = nil, true
	n.log.crash()
	for len(n.links) > 0 {
		n.sim.unlink(n, n.links[len(n.links)-1].peer)
	}
}

func (n *Node) stopped() {
	for _, o := range n.sim.watch {
		o.Stopped(n)
	}
}

// Restart starts a node that crashed; lost: it has lost its log, but not its key.
func (n *Node) Restart(lost bool) {
	mustf(n.core == nil, "node %d is up", n.Index)
	for len(n.links) > 0 { // a peer that did not notice the crash notices the new connection
		n.sim.unlink(n, n.links[len(n.links)-1].peer)
	}
	if lost {
		n.log = nodeLog{}
		n.hlc = 0
	}
	for _, o := range n.sim.watch {
		o.Restarted(n, lost)
	}
	n.gone = false
	n.start()
}

// Clog has nothing leave the node for d.
func (n *Node) Clog(d time.Duration) { n.frozen = max(n.frozen, n.sim.now.Add(d)) }

// Interest adds an interest, now or, if the node is down, when it is up again.
func (n *Node) Interest(filter string) {
	n.filter = append(slices.Clip(n.filter), filter) // nodes may share the slice that they were made with
	if n.core != nil {
		n.tick()
		n.core.AddInterest(filter)
		n.step()
	}
}

// Disinterest takes an interest back. It does nothing if there is none such.
func (n *Node) Disinterest(filter string) {
	i := slices.Index(n.filter, filter)
	if i < 0 {
		return
	}
	n.former = append(n.former, filter)
	n.filter = slices.Delete(slices.Clone(n.filter), i, i+1) // nodes may share the slice that they were made with
	if n.core != nil {
		n.tick()
		n.core.RemoveInterest(filter)
		n.step()
	}
}

// woken is called when the node's deadline has come.
func (n *Node) woken(at gossip.Time) {
	if n.core != nil && n.wake == at {
		n.wake = 0
		n.step()
	}
}

// Step is the driver's turn: Tick, Take, log, send, sleep.
func (n *Node) Step() { n.step() }

func (n *Node) step() {
	if n.core == nil {
		return
	}
	for again := true; again; {
		n.tick()
		out := n.core.Take()
		again = n.carry(&out)
	}
	deadline := n.core.NextDeadline()
	if deadline == gossip.Never {
		return
	}
	at := max(deadline.Add(-n.phase), n.sim.now)
	if n.wake == 0 || at < n.wake {
		n.wake = at
		n.sim.queue.push(at, wake{n})
	}
}

// tick tells the core the time, as the driver does before each input: the core reckons by
// the clock that it was told last.
func (n *Node) tick() { n.core.Tick(n.time(), n.wall()) }

// carry carries out what the core wants. It reports whether the core was told
// something in doing so.
func (n *Node) carry(out *gossip.Output) (told bool) {
	s := n.sim
	told = n.append(out)
	if len(out.Send) > 0 {
		told = n.send(out.Send) || told
	}
	for _, d := range out.Disconnect {
		n.disconnect(d)
	}
	for _, r := range out.Dial {
		n.dial(r.Peer)
	}
	if len(s.watch) > 0 {
		for i := range out.Notices {
			for _, o := range s.watch {
				o.Notice(n, &out.Notices[i])
			}
		}
	}
	return told
}

// send gathers what goes to one peer on one lane into frames, and sends them off.
func (n *Node) send(out []gossip.Send) (told bool) {
	s := n.sim
	frames := s.frames[:0]
	for i := range out {
		m := &out[i]
		l := n.linkNamed(m.To)
		if l == nil {
			continue // it went down: the core knows, or is about to
		}
		batch := -1
		if m.Msg == nil {
			batch = s.indexOf(m.Batch)
			if n.outboxFull(l, m.Lane, batch) {
				n.failed = append(n.failed[:0], m.Batch)
				n.core.SendFailed(m.To, m.Lane, n.failed)
				told = true
				continue
			}
		}
		d := l.open[m.Lane]
		if d == nil || d.size >= frameBytes {
			d = s.newDelivery(n, l, m.Lane)
			l.open[m.Lane] = d
			frames = append(frames, d)
		}
		d.add(s, m.Msg, batch)
		for _, o := range s.watch {
			o.Sent(n, l.peer, m.Msg, batch)
		}
	}
	for _, d := range frames {
		d.link.open[d.lane] = nil
	}
	for _, d := range frames {
		s.dispatch(d)
	}
	clear(frames)
	s.frames = frames[:0]
	return told
}

// outboxFull reports whether a push is dropped for want of room.
func (n *Node) outboxFull(l *link, lane gossip.Lane, batch int) bool {
	s := n.sim
	limit := newsMaxBytes
	if lane == gossip.Repair {
		limit = repairMaxBytes
	}
	waiting := l.waiting[lane]
	if d := l.open[lane]; d != nil {
		waiting += d.pushes
	}
	if waiting > 0 && waiting+s.store.batches[batch].Batch.Size() > limit {
		l.full[lane] = true
		return true
	}
	if !s.chance(s.Faults.Outbox) {
		return false
	}
	s.At(20*time.Millisecond, func() {
		if !l.down && n.core != nil {
			n.tick()
			n.core.SendDrained(l.peer.id)
			n.step()
		}
	})
	return true
}

// drained tells the core when an outbox that was full has room again.
func (n *Node) drained(l *link, lane gossip.Lane) {
	limit := newsMaxBytes
	if lane == gossip.Repair {
		limit = repairMaxBytes
	}
	if n.core != nil && l.full[lane] && l.waiting[lane] <= limit/2 {
		l.full[lane] = false
		n.tick()
		n.core.SendDrained(l.peer.id)
		n.sim.At(0, n.step)
	}
}

// receive hands a frame to the core.
func (n *Node) receive(d *delivery) {
	n.tick()
	if n.sim.params.Encode {
		n.parse(d)
	} else {
		for i := range d.items {
			n.take(d, d.items[i].msg, int(d.items[i].batch))
		}
	}
	n.step()
}

// parse decodes the frame, as the driver does: what cannot be read is a mistake
// of the peer's, and so is a signature that does not fit.
func (n *Node) parse(d *delivery) {
	frame := append([]byte(nil), d.frame...) // the core may keep what aliases it
	for m, err := range wire.ParseFrame(frame) {
		if err != nil {
			mustf(d.corrupt, "node %d sent a frame that does not parse: %v", d.from.Index, err)
			n.core.Misbehaved(d.from.id, err.Error())
			return
		}
		push, ok := m.(*wire.Push)
		if !ok {
			n.take(d, m, -1)
			continue
		}
		if d.corrupt {
			if err := push.Batch.Verify(network); err != nil {
				n.core.Misbehaved(d.from.id, err.Error())
				return
			}
		}
		n.take(d, m, n.sim.indexOf(push.Batch.ID))
	}
}

// take hands one message to the core.
func (n *Node) take(d *delivery, m wire.Message, batch int) {
	if batch >= 0 {
		p := &n.sim.store.batches[batch]
		if m == nil {
			m = p.News
			if d.lane == gossip.Repair {
				m = p.Repair
			}
		}
		if t := p.Batch.Header.Time; t <= n.wall().Add(wire.FutureMax) {
			n.hlc = max(n.hlc, t) // else nodes could carry each other into the future
		}
		n.log.reached(n, batch, d.from, d.lane == gossip.Repair)
		n.sim.tally.received(batch, d.lane == gossip.Repair)
	}
	n.core.Receive(d.from.id, m)
}
