package gossip

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// node is a core with a log of its own.
type node struct {
	net    *network
	name   string
	cfg    Config
	signer wire.Signer
	id     wire.PeerID
	core   *Core
	skew   time.Duration
	hlc    wire.Time // newest date met
	epoch  wire.Epoch
	seqs   map[string]wire.Prev
	links  map[*node]int // generation of the link, 0: down
	pipes  map[*node]*pipe
	gens   int

	log     map[wire.BatchID]*logged
	order   []wire.BatchID // in which batches were written
	topics  map[string][]record
	pending map[wire.BatchID]*wire.Batch
	full    bool // the log refuses writes
	writes  int  // under way
	logGen  int  // how often it was resumed
	broken  int  // 1 + the logGen in which a write failed: all later ones do, until it is resumed
	notices []Notice
	dead    bool
	mute    bool                             // sends nothing
	deaf    func(*wire.Batch) bool           // batches that never reach the core
	puppet  func(from *node, m wire.Message) // if set, takes what comes in the core's stead
	wake    Time

	padding   int                           // bytes more in each event
	presence  *wire.Presence                // what its beacons say; nil: it was told none
	trimmed   map[wire.BatchID]*wire.Header // that the log held once
	dialled   int                           // peers, with success
	peersMost int                           // ever at once
	banned    map[*node]bool                // dropped for breaking the rules
	received  int                           // batches, whatever became of them
	sentBytes map[string]int                // of messages, by type
	onRead    func(*wire.Header)            // called when a batch of another is released; nil: nobody asks
}

type logged struct {
	batch    *wire.Batch
	released bool
	verdict  wire.Reason
}

// record is what a subscription of the topic reads.
type record struct {
	id   wire.BatchID
	late bool
	gap  *Gap
}

// start makes a new core from what the log holds, as after a crash.
func (x *node) start() {
	x.dead, x.wake = false, 0
	x.pending = map[wire.BatchID]*wire.Batch{}
	x.seqs = map[string]wire.Prev{}
	core, err := New(x.signer.Author(), x.cfg, x.net.rng.Uint64(), x.net.now, x.wall())
	if err != nil {
		x.net.t.Fatal(err)
	}
	x.core = core
	x.restoreTrimmed()
	for _, h := range x.trimmed {
		if h.Author == x.signer.Author() && h.End().Compare(x.seqs[h.Topic].Mark) > 0 {
			x.seqs[h.Topic] = wire.Prev{Mark: h.End(), Time: h.Time}
		}
	}
	ids := slices.Clone(x.order)
	slices.SortStableFunc(ids, func(a, b wire.BatchID) int {
		return x.log[a].batch.Header.Start().Compare(x.log[b].batch.Header.Start())
	})
	for _, id := range ids {
		l := x.log[id]
		h := &l.batch.Header
		core.Restore(Meta{ID: id, Header: h, Released: l.released, Verdict: l.verdict})
		if h.Author == x.signer.Author() {
			x.seqs[h.Topic] = wire.Prev{Mark: h.End(), Time: h.Time}
		}
	}
	for _, topic := range sortedKeys(x.topics) {
		for _, r := range x.topics[topic] {
			if r.gap != nil {
				core.RestoreGap(*r.gap)
			}
		}
	}
	core.Restored()
	x.epoch = wire.Epoch(uint64(x.wall())/1e6<<16 | x.net.rng.Uint64()&0xffff)
	x.epoch = max(x.epoch, core.NewestEpoch()+1)
	core.SetEpoch(x.epoch)
	if x.net.exchange {
		core.SetRecord(recordOf(x.id).Signed)
	}
	x.step()
}

// resume makes the log take writes again.
func (x *node) resume() {
	if x.writes > 0 {
		x.net.at(time.Millisecond, x.resume) // whatever was queued before fails first
		return
	}
	if x.full && !x.dead {
		x.full = false
		x.logGen++
		x.core.Writable(true)
		x.step()
	}
}

// crash ends the node at once; its log stays.
func (x *node) crash() {
	for _, y := range x.net.nodes {
		x.net.cut(x, y)
	}
	x.dead = true
}

func (x *node) wall() wire.Time { return wire.Time(testEpoch + int64(x.net.now) + int64(x.skew)) }

// step is the driver's turn: Tick, Take, log, send, sleep.
func (x *node) step() {
	if x.dead {
		return
	}
	n := x.net
	x.core.Tick(n.now, x.wall())
	out := x.core.Take()
	x.append(&out)
	for _, s := range out.Send {
		x.deliver(s)
	}
	for _, id := range out.Discard {
		delete(x.pending, id)
	}
	x.notices = append(x.notices, out.Notices...)
	if out.Presence != nil {
		x.presence = out.Presence
	}
	for _, d := range out.Disconnect {
		if !d.Surplus {
			n.t.Logf("%s disconnects: %v", x.name, d)
		}
	}
	if n.exchange {
		x.meet(&out)
	}
	if d := x.core.NextDeadline(); x.wake <= n.now || d < x.wake {
		x.wake = d
		core := x.core
		n.at(time.Duration(max(d, n.now)-n.now), func() {
			if x.core == core && x.wake == d {
				x.wake = 0
				x.step()
			}
		})
	}
}

// meet connects and disconnects as the core wishes.
func (x *node) meet(out *Output) {
	x.peersMost = max(x.peersMost, x.core.Stats().Peers)
	for _, r := range out.Dial {
		x.net.dial(x, r)
	}
	for _, d := range out.Disconnect {
		x.net.at(0, func() { x.net.disconnect(x, d) })
	}
}

func (x *node) append(out *Output) {
	if len(out.Persist)+len(out.Release)+len(out.Verdicts) == 0 {
		return
	}
	n, core, gen := x.net, x.core, x.logGen
	persist, releases, verdicts := out.Persist, out.Release, out.Verdicts
	bytes := make([]*wire.Batch, len(persist))
	for i, id := range persist {
		if x.pending[id] == nil {
			n.t.Fatalf("%s persists %v, whose bytes it has not got", x.name, id)
		}
		bytes[i] = x.pending[id]
		delete(x.pending, id)
	}
	x.writes++
	n.at(n.storing, func() {
		x.writes--
		if x.core != core || x.dead {
			return
		}
		if x.full || x.broken == gen+1 {
			x.broken = gen + 1
			core.StoreFailed(persist, releases)
			core.Writable(false)
			x.step()
			return
		}
		for i, id := range persist {
			if x.log[id] == nil {
				x.order = append(x.order, id)
				x.log[id] = &logged{batch: bytes[i]}
			}
		}
		for _, v := range verdicts {
			x.log[v.ID].verdict = v.Reason
		}
		for _, r := range releases {
			x.release(r)
		}
		core.Stored(persist)
		x.step()
	})
}

func (x *node) release(r Release) {
	if r.Gap != nil {
		x.topics[r.Gap.Topic] = append(x.topics[r.Gap.Topic], record{gap: r.Gap})
		return
	}
	l := x.log[r.ID]
	if l == nil {
		x.net.t.Fatalf("%s releases %v, which is not in the log", x.name, r.ID)
	}
	if l.released {
		x.net.t.Fatalf("%s releases %v twice", x.name, r.ID)
	}
	l.released = true
	topic := l.batch.Header.Topic
	x.topics[topic] = append(x.topics[topic], record{id: r.ID, late: r.Late})
	if x.onRead != nil {
		x.onRead(&l.batch.Header)
	}
}

func (x *node) deliver(s Send) {
	n := x.net
	var y *node
	for _, z := range n.byID[s.To] {
		if x.links[z] != 0 {
			y = z
		}
	}
	if y == nil && n.segment.send(x, s) || y == nil || x.mute {
		return
	}
	var frame []byte
	if s.Msg != nil {
		if n.tap != nil {
			n.tap(x, y, s.Msg)
		}
		frame = wire.AppendMessage(nil, s.Msg)
		kind := reflect.TypeOf(s.Msg).String()
		n.sent[kind]++
		x.sentBytes[kind] += len(frame)
	} else {
		l := x.log[s.Batch]
		if l == nil {
			n.t.Fatalf("%s sends %v, which is not in the log", x.name, s.Batch)
		}
		if s.Lane == News && n.rng.Float64() < n.dropPush {
			id := y.id
			n.at(0, func() {
				x.core.SendFailed(id, News, []wire.BatchID{s.Batch})
				x.step()
			})
			n.at(20*time.Millisecond, func() {
				x.core.SendDrained(id)
				x.step()
			})
			return
		}
		if s.Lane == Repair && n.dropRepair > 0 && n.rng.Float64() < n.dropRepair {
			x.core.SendFailed(y.id, Repair, []wire.BatchID{s.Batch})
			return
		}
		n.batches++
		frame = wire.AppendPush(nil, l.batch.Raw, s.Lane == Repair)
	}
	n.streamBytes += len(frame)
	n.note(x.name, y.name, frame)
	x.pipes[y].send(s.Lane, frame)
}

// say has a puppet send a message.
func (x *node) say(to *node, m wire.Message) {
	frame := wire.AppendMessage(nil, m)
	x.net.at(x.net.latency, func() {
		if x.links[to] != 0 {
			to.receive(x, frame)
		}
	})
}

func (x *node) receive(from *node, frame []byte) {
	if x.core != nil {
		x.core.Tick(x.net.now, x.wall()) // before each input, as the driver does
	}
	for m, err := range wire.ParseFrame(frame) {
		if err != nil {
			x.net.t.Fatalf("%s got a bad frame from %s: %v", x.name, from.name, err)
		}
		if x.puppet != nil {
			x.puppet(from, m)
			continue
		}
		if push, ok := m.(*wire.Push); ok {
			if x.deaf != nil && x.deaf(push.Batch) {
				continue
			}
			x.hlc = max(x.hlc, push.Batch.Header.Time)
			x.received++
			if x.pending[push.Batch.ID] == nil {
				x.pending[push.Batch.ID] = push.Batch
			}
		}
		if s, ok := m.(*wire.Shuffle); ok && !authentic(s) {
			x.core.Misbehaved(from.id, "false records") // as the driver does
			continue
		}
		x.core.Receive(from.id, m)
	}
	x.step()
}

func authentic(m *wire.Shuffle) bool {
	return !slices.ContainsFunc(m.Records, func(r wire.Record) bool {
		return string(r.Signed) != string(recordOf(r.Peer).Signed)
	})
}

// publish seals, logs and tells the core of a batch of count events.
func (x *node) publish(topic string, count int) *wire.Batch {
	b := x.seal(topic, count, x.seqs[topic])
	x.seqs[topic] = wire.Prev{Mark: b.Header.End(), Time: b.Header.Time}
	x.inject(b)
	return b
}

func (x *node) seal(topic string, count int, prev wire.Prev) *wire.Batch {
	first := uint64(1)
	if prev.Epoch == x.epoch {
		first = prev.Seq + 1
	}
	h := wire.Header{
		Version: 1, Network: "test", Topic: topic, Epoch: x.epoch, First: first, Count: uint32(count),
		Prev: prev, Time: max(x.wall(), x.hlc+1, prev.Time+1),
	}
	var body []byte
	for i := range count {
		payload := append(fmt.Appendf(nil, "%s %d", x.name, i), make([]byte, x.padding)...)
		body = wire.AppendEvent(body, h.Time, &wire.Event{Time: h.Time, Payload: payload})
	}
	b, err := wire.Seal(h, body, x.signer)
	if err != nil {
		x.net.t.Fatal(err)
	}
	return b
}

func (x *node) inject(b *wire.Batch) {
	x.hlc = max(x.hlc, b.Header.Time)
	x.order = append(x.order, b.ID)
	x.log[b.ID] = &logged{batch: b, released: true}
	topic := b.Header.Topic
	x.topics[topic] = append(x.topics[topic], record{id: b.ID})
	x.core.Tick(x.net.now, x.wall())
	x.core.Publish(b.ID, &b.Header)
	x.step()
}

func (x *node) interest(filters ...string) *node {
	for _, f := range filters {
		x.core.AddInterest(f)
	}
	x.step()
	return x
}

func (x *node) has(kind NoticeKind) bool {
	return slices.ContainsFunc(x.notices, func(n Notice) bool { return n.Kind == kind })
}

// checkOrder fails unless all that the node reads of the topic comes once and,
// but for what is marked late, in each author's order without unreported gaps.
func (x *node) checkOrder(topic string) {
	t := x.net.t
	t.Helper()
	seen := map[wire.BatchID]bool{}
	heads := map[wire.Author]wire.Mark{}
	for _, r := range x.topics[topic] {
		if r.gap != nil {
			heads[r.gap.Author] = r.gap.To
			continue
		}
		h := x.header(r.id)
		if seen[r.id] {
			t.Errorf("%s reads %v twice", x.name, r.id)
		}
		seen[r.id] = true
		head := heads[h.Author]
		if r.late {
			continue
		}
		if h.Start().Compare(head) <= 0 {
			t.Errorf("%s reads %v of epoch %d at %d after %v", x.name, r.id, h.Epoch, h.First, head)
		}
		if h.Prev.Mark != head && head != (wire.Mark{}) {
			t.Errorf("%s reads %v after %v, but its predecessor is %v", x.name, h.Start(), head, h.Prev.Mark)
		}
		heads[h.Author] = h.End()
	}
}

// header returns the header of a batch that the node reads, or has read.
func (x *node) header(id wire.BatchID) *wire.Header {
	if l := x.log[id]; l != nil {
		return &l.batch.Header
	}
	return x.trimmed[id]
}

// events counts what the node reads of the topic, late or not.
func (x *node) events(topic string) (n int) {
	for _, r := range x.topics[topic] {
		if r.gap == nil {
			n += int(x.header(r.id).Count)
		}
	}
	return n
}
