package sim

import (
	"hash/fnv"
	"reflect"
	"testing"
	"time"

	"github.com/busnode/busnode/gossip"
	"github.com/busnode/busnode/gossip/wire"
)

// star returns a publisher in the middle of n others, connected, with the links that net
// describes once all know each other.
func star(t *testing.T, n int, net Network) *Sim {
	t.Helper()
	s := New(Params{Seed: 1})
	s.Net.Latency = 10 * time.Millisecond
	for range n + 1 {
		s.Add(NodeParams{Publisher: true, Filters: []string{">"}, Phase: -1})
	}
	s.Connect(Star(n + 1))
	s.Run(2 * time.Second)
	s.Net = net
	return s
}

// arrival returns when the batch reached the node, from its publication, and fails if it did not.
func arrival(t *testing.T, n *Node, batch int) time.Duration {
	t.Helper()
	a := n.Arrival(batch)
	if !a.IsReleased() {
		t.Fatalf("node %d cannot read batch %d", n.Index, batch)
	}
	return time.Duration(a.Reached - n.sim.store.batches[batch].At)
}

func TestLatencyIsTheLinks(t *testing.T) {
	s := star(t, 1, Network{Latency: 30 * time.Millisecond})
	b := s.Nodes()[0].Publish("x", 1000)
	s.Run(time.Second)
	if got := arrival(t, s.Nodes()[1], b); got != 30*time.Millisecond {
		t.Errorf("after %v, want 30 ms", got)
	}
}

func TestJitterSpreadsFramesAndKeepsTheirOrder(t *testing.T) {
	s := star(t, 1, Network{Latency: 30 * time.Millisecond, Jitter: 20 * time.Millisecond})
	least, most, last := time.Hour, time.Duration(0), gossip.Time(0)
	for range 300 {
		s.Nodes()[0].Publish("x", 10)
		s.Run(5 * time.Millisecond)
	}
	s.Run(time.Second)
	for i := range s.Batches() {
		d, a := arrival(t, s.Nodes()[1], i), s.Nodes()[1].Arrival(i)
		if a.Reached < last || a.state&repaired != 0 {
			t.Fatalf("batch %d came after %v, behind the next one, or was repaired", i, d)
		}
		least, most, last = min(least, d), max(most, d), a.Reached
	}
	if least < 10*time.Millisecond || most > 50*time.Millisecond || most-least < 20*time.Millisecond {
		t.Errorf("from %v to %v, want 10 to 50 ms, and most of that", least, most)
	}
}

// frameOf returns the time that a push of the batch takes at a rate.
func (s *Sim) frameOf(batch int) time.Duration {
	raw := len(s.store.batches[batch].Batch.Raw)
	return s.sending(len(wire.PushPrefix(nil, raw, false)) + raw)
}

func TestUplinkIsShared(t *testing.T) {
	const readers = 4
	s := star(t, readers, Network{Latency: 30 * time.Millisecond, Rate: 100_000})
	b := s.Nodes()[0].Publish("x", 10_000)
	s.Run(5 * time.Second)
	last := time.Duration(0)
	for _, n := range s.Nodes()[1:] {
		last = max(last, arrival(t, n, b))
	}
	// Four frames leave one after the other; each comes in as it leaves, a latency later.
	if want := 30*time.Millisecond + readers*s.frameOf(b); !about(last, want, want/50) {
		t.Errorf("the last has it after %v, want %v", last, want)
	}
}

func TestDownlinkIsShared(t *testing.T) {
	const writers = 4
	s := star(t, writers, Network{Latency: 30 * time.Millisecond, Rate: 100_000})
	for _, n := range s.Nodes()[1:] {
		n.Publish("x", 10_000)
	}
	s.Run(5 * time.Second)
	last := time.Duration(0)
	for b := range s.Batches() {
		last = max(last, arrival(t, s.Nodes()[0], b))
	}
	if want := 30*time.Millisecond + writers*s.frameOf(0); !about(last, want, want/50) {
		t.Errorf("all are there after %v, want %v", last, want)
	}
}

func about(a, b, by time.Duration) bool { return a >= b-by && a <= b+by }

// TestLanesTakeTurns: with much to repair, news still get half of the uplink.
func TestLanesTakeTurns(t *testing.T) {
	s := star(t, 1, Network{Latency: 10 * time.Millisecond})
	from, to := s.Nodes()[0], s.Nodes()[1]
	strange := s.Add(NodeParams{Publisher: true}) // connected with nobody: all of it is news
	var batches []int
	for range 20 {
		batches = append(batches, strange.Publish("x", 5000))
	}
	s.Net.Rate = 100_000
	for i, b := range batches {
		lane := gossip.Repair
		if i >= 10 {
			lane = gossip.News
		}
		d := s.newDelivery(from, from.linkTo(to), lane)
		d.add(s, nil, b)
		s.dispatch(d)
	}
	s.Run(10 * time.Second)
	for i := range 10 {
		repair, news := to.Arrival(batches[i]), to.Arrival(batches[10+i])
		if !repair.Seen() || !news.Seen() {
			t.Fatalf("frame %d of a lane did not come", i)
		}
		if apart := time.Duration(news.Reached - repair.Reached); !about(apart, s.frameOf(0), s.frameOf(0)/10) {
			t.Errorf("frame %d of the news comes %v after that of the repairs, want one frame, %v", i, apart, s.frameOf(0))
		}
	}
}

// TestLossDelaysAndKeepsOrder: a stream sends lost packets again; what is behind them in the lane waits.
func TestLossDelaysAndKeepsOrder(t *testing.T) {
	const events = 3000
	for _, rate := range []int{0, 10_000_000} {
		s := star(t, 1, Network{Latency: 20 * time.Millisecond, Rate: rate, Loss: 0.2})
		for range events {
			s.Nodes()[0].Publish("x", 10)
			s.Run(50 * time.Millisecond)
		}
		s.Run(10 * time.Second)
		delayed, last := 0, gossip.Time(0)
		for i := range s.Batches() {
			d, a := arrival(t, s.Nodes()[1], i), s.Nodes()[1].Arrival(i)
			if a.Reached < last || a.state&repaired != 0 {
				t.Fatalf("rate %d: batch %d came behind the next one, or was repaired", rate, i)
			}
			if last = a.Reached; d > 25*time.Millisecond {
				delayed++
			}
		}
		// A fifth of the frames is lost, and is sent again after the probe timeout of 85 ms, after
		// twice that if it is lost again, and so on; those behind it, one each 50 ms, wait: in all
		// half of them.
		if delayed < events*46/100 || delayed > events*55/100 {
			t.Errorf("rate %d: %d of %d frames were delayed, want about half", rate, delayed, events)
		}
	}
}

func TestResentTakesAProbeTimeoutAndThenTwice(t *testing.T) {
	s := New(Params{Seed: 1})
	s.Net = Network{Latency: 100 * time.Millisecond, Loss: 0.5}
	const probe = 325 * time.Millisecond // 1.5 round trips, and an acknowledgement's delay
	count := map[time.Duration]int{}
	for range 100_000 {
		count[s.resent(10)]++
	}
	for d, p := range map[time.Duration]float64{0: 0.5, probe: 0.25, 3 * probe: 0.125, 7 * probe: 0.0625} {
		if got := float64(count[d]) / 100_000; got < 0.95*p || got > 1.05*p {
			t.Errorf("%v late: a share of %g, want about %g", d, got, p)
		}
	}
	s.Net.Loss = 0.01
	late := 0
	for range 10_000 {
		if s.resent(100*packetBytes) > 0 {
			late++
		}
	}
	if late < 6000 || late > 6700 { // 1 - 0.99^100 = 63.4 %
		t.Errorf("of frames of 100 packets %d in 10,000 were late, want some 6,340", late)
	}
}

// TestFaultsStrikeAsOftenAsTheyAreSaidTo sends frames past the core, which would turn the link lazy.
func TestFaultsStrikeAsOftenAsTheyAreSaidTo(t *testing.T) {
	// copiesOf returns how many copies of 1,000 batches arrive, and how many come behind the next one.
	copiesOf := func(f Faults) (copies, behind int) {
		s := star(t, 1, Network{Latency: 10 * time.Millisecond})
		from, to := s.Nodes()[0], s.Nodes()[1]
		strange := s.Add(NodeParams{Publisher: true})
		s.Faults = f
		s.Measure()
		for range 1000 {
			d := s.newDelivery(from, from.linkTo(to), gossip.News)
			d.add(s, nil, strange.Publish("x", 10))
			s.dispatch(d)
			s.Run(10 * time.Millisecond)
		}
		s.Faults = Faults{}
		s.Run(20 * time.Second)
		for i := range 999 {
			if a, b := to.Arrival(i), to.Arrival(i+1); a.Seen() && b.Seen() && a.Reached > b.Reached {
				behind++
			}
		}
		return int(s.Tally().Copies), behind
	}
	if n, behind := copiesOf(Faults{Drop: 0.1}); n < 870 || n > 930 || behind > 0 {
		t.Errorf("with a drop of 10 %%, %d of 1,000 came, %d of them late", n, behind)
	}
	if n, behind := copiesOf(Faults{Duplicate: 0.3}); n < 1250 || n > 1350 || behind > 0 {
		t.Errorf("with 30 %% twice, %d of 1,000 came, %d of them late", n, behind)
	}
	if n, behind := copiesOf(Faults{Reorder: 0.3, ReorderBy: time.Second}); n != 1000 || behind < 200 {
		t.Errorf("with 30 %% out of order, %d of 1,000 came, %d of them late", n, behind)
	}
}

// codecFree keeps a hash of what is said, not of how it is encoded.
type codecFree struct {
	Ignore
	s     *Sim
	trace uint64
}

func (c *codecFree) note(what ...uint64) {
	h := fnv.New64a()
	var b [8]byte
	for _, v := range append(what, c.trace, uint64(c.s.now)) {
		for i := range b {
			b[i] = byte(v >> (8 * i))
		}
		h.Write(b[:])
	}
	c.trace = h.Sum64()
}

func (c *codecFree) Sent(n, peer *Node, m wire.Message, batch int) {
	kind := fnv.New64a()
	if m != nil {
		kind.Write([]byte(reflect.TypeOf(m).String()))
	}
	c.note(1, uint64(n.Index), uint64(peer.Index), uint64(batch), kind.Sum64())
}

func (c *codecFree) Released(n *Node, batch int, _ bool) { c.note(2, uint64(n.Index), uint64(batch)) }

// TestEncodingChangesNothing runs fault runs twice, once with all frames encoded and parsed and
// once with messages handed over: the same is said and read at the same times, and it has the same size.
func TestEncodingChangesNothing(t *testing.T) {
	seeds := uint64(12)
	if testing.Short() {
		seeds = 3
	}
	for seed := range seeds {
		var traces [2]uint64
		var tallies [2]Tally
		for i, encode := range []bool{false, true} {
			p := Swarm(seed + 1)
			p.Encode, p.Faults.Corrupt = encode, 0
			w := newSwarm(p)
			c := &codecFree{s: w.sim}
			w.sim.Observe(c)
			w.strike()
			w.sim.Run(p.Span)
			w.heal()
			if err := w.demand(); err != nil {
				t.Errorf("seed %d: %v", seed+1, err)
			}
			traces[i], tallies[i] = c.trace, w.sim.Tally()
		}
		if traces[0] != traces[1] {
			t.Errorf("seed %d: the runs differ", seed+1)
		}
		if !reflect.DeepEqual(tallies[0].Kinds, tallies[1].Kinds) {
			t.Errorf("seed %d: messages and bytes are\n%v, and encoded\n%v", seed+1, tallies[0].Kinds, tallies[1].Kinds)
		}
	}
}

// TestOrderHoldsAcrossAWall: what waits for the uplink when a wall rises is not overtaken by what is
// sent while it stands, nor by what is sent when it has fallen.
func TestOrderHoldsAcrossAWall(t *testing.T) {
	s := star(t, 1, Network{Latency: 10 * time.Millisecond, Rate: 100_000})
	from, to := s.Nodes()[0], s.Nodes()[1]
	for i := range 60 {
		from.Publish("x", 4000)
		s.Run(20 * time.Millisecond) // half as long as a frame takes
		switch i {
		case 19:
			wall := s.Partition([]*Node{from}, false)
			s.At(300*time.Millisecond, wall.Heal)
		}
	}
	s.Run(10 * time.Second)
	for i := range s.Batches() {
		arrival(t, to, i)
		if a := to.Arrival(i); i > 0 && a.Reached < to.Arrival(i-1).Reached || a.state&repaired != 0 {
			t.Errorf("batch %d came before the one before it, or was repaired", i)
		}
	}
}

// TestFaultsDoNotCrossWalls: a copy of a frame, or one out of order, comes no farther than the frame would.
func TestFaultsDoNotCrossWalls(t *testing.T) {
	for _, hold := range []func(s *Sim, n *Node){
		func(s *Sim, n *Node) { s.Partition([]*Node{n}, false) },
		func(_ *Sim, n *Node) { n.Clog(10 * time.Second) },
	} {
		s := star(t, 1, Network{Latency: 10 * time.Millisecond})
		from, to := s.Nodes()[0], s.Nodes()[1]
		s.Faults = Faults{Duplicate: 0.5, Reorder: 0.5, ReorderBy: 100 * time.Millisecond}
		hold(s, from)
		for range 20 {
			from.Publish("x", 10)
		}
		s.Run(3 * time.Second)
		for i := range s.Batches() {
			if a := to.Arrival(i); a.Seen() {
				t.Fatalf("batch %d left the node", i)
			}
		}
	}
}

// TestSendingTakesNoTimeWithoutALimit: one that is lifted still has frames on the uplinks.
func TestSendingTakesNoTimeWithoutALimit(t *testing.T) {
	s := New(Params{Seed: 1})
	if d := s.sending(1000); d != 0 {
		t.Errorf("1,000 bytes take %v, want no time", d)
	}
	s.Net.Rate = 100_000
	if d := s.sending(1000); d != 10*time.Millisecond {
		t.Errorf("1,000 bytes at 100,000 a second take %v, want 10 ms", d)
	}
}

// TestCrashFreesTheUplink: the frame that was leaving when a node crashed keeps nothing back once it is
// up again, and the uplink has its rate still.
func TestCrashFreesTheUplink(t *testing.T) {
	s := star(t, 2, Network{Latency: 10 * time.Millisecond, Rate: 10_000})
	from, to := s.Nodes()[0], s.Nodes()[1:]
	from.Publish("x", 30_000) // three seconds
	s.Run(100 * time.Millisecond)
	from.Crash(true)
	s.Net.Rate = 1_000_000
	s.Run(time.Second)
	from.Restart(false)
	s.Run(1500 * time.Millisecond) // the overlay's connections are back
	if !connected(from, to[0]) || !connected(from, to[1]) {
		t.Fatal("not connected")
	}
	begin := len(s.Batches())
	for range 100 {
		from.Publish("x", 10_000)
	}
	s.Run(10 * time.Second)
	last := time.Duration(0)
	for i := begin; i < len(s.Batches()); i++ {
		last = max(last, arrival(t, to[0], i), arrival(t, to[1], i))
	}
	if want := 200 * s.frameOf(begin); last < want {
		t.Errorf("all are there after %v, want %v at least", last, want)
	}
}
