package sim

import (
	"slices"
	"testing"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// pair returns two connected publishers, 10 ms apart.
func pair(t *testing.T) (s *Sim, a, b *Node) {
	t.Helper()
	s = star(t, 1, Network{Latency: 10 * time.Millisecond})
	return s, s.Nodes()[0], s.Nodes()[1]
}

func connected(a, b *Node) bool {
	return slices.Contains(a.Neighbours(), b) && slices.Contains(b.Neighbours(), a)
}

func TestPartitionHoldsFramesUpUntilItHeals(t *testing.T) {
	s, a, b := pair(t)
	early := a.Publish("x", 10) // under way when the wall rises
	wall := s.Partition([]*Node{a}, false)
	var late []int
	for range 20 {
		late = append(late, a.Publish("x", 10))
		s.Run(100 * time.Millisecond)
	}
	arrival(t, b, early)
	for _, i := range late {
		if x := b.Arrival(i); x.Seen() {
			t.Fatalf("batch %d crossed the wall", i)
		}
	}
	wall.Heal()
	wall.Heal() // idempotent
	s.Run(time.Second)
	for _, i := range late {
		if x := b.Arrival(i); !x.IsReleased() || x.state&repaired != 0 || x.Reached < b.Arrival(early).Reached {
			t.Errorf("batch %d is not delivered, or was repaired", i)
		}
	}
	s.Run(10 * time.Second)
	if !connected(a, b) {
		t.Error("a wall that stood for 2 s ended the connection")
	}
}

func TestPartitionIsNoticedAndTheOverlayComesBack(t *testing.T) {
	s, a, b := pair(t)
	wall := s.Partition([]*Node{a}, false)
	s.Run(3500 * time.Millisecond)
	if !connected(a, b) {
		t.Error("it is noticed before the time for it, 4 s and a tenth")
	}
	s.Run(time.Second)
	if len(a.Neighbours())+len(b.Neighbours()) > 0 {
		t.Error("it is not noticed in time")
	}
	lost := a.Publish("x", 10)
	s.Run(20 * time.Second)
	if x := b.Arrival(lost); x.Seen() || connected(a, b) {
		t.Error("there is a way through the wall")
	}
	wall.Heal()
	s.Run(1500 * time.Millisecond)
	if !connected(a, b) {
		t.Error("the connection is not back 1.5 s after the wall fell")
	}
	s.Run(5 * time.Second)
	arrival(t, b, lost)
}

func TestOneWayPartition(t *testing.T) {
	s, a, b := pair(t)
	wall := s.Partition([]*Node{a}, true)
	out, in := a.Publish("x", 10), b.Publish("x", 10)
	s.Run(time.Second)
	if x := b.Arrival(out); x.Seen() {
		t.Error("a frame left the node that nothing leaves")
	}
	arrival(t, a, in)
	s.Run(5 * time.Second)
	if connected(a, b) {
		t.Error("a connection in one direction lasts")
	}
	wall.Heal()
	s.Run(5 * time.Second)
	arrival(t, b, out)
}

func TestNodesOnOneSideOfAWallAreNotCutOff(t *testing.T) {
	s := star(t, 3, Network{Latency: 10 * time.Millisecond})
	n := s.Nodes()
	s.Partition(n[:2], false)
	i := n[0].Publish("x", 10)
	s.Run(10 * time.Second)
	arrival(t, n[1], i)
	if !connected(n[0], n[1]) || connected(n[0], n[2]) {
		t.Error("want a connection inside, and none across")
	}
	if x := n[3].Arrival(i); x.Seen() {
		t.Error("a batch crossed the wall")
	}
}

func TestClogDelaysWhatLeavesAndNothingElse(t *testing.T) {
	for _, rate := range []int{0, 10_000_000} {
		s, a, b := pair(t)
		s.Net.Rate = rate
		a.Clog(2 * time.Second)
		out, in := a.Publish("x", 10), b.Publish("x", 10)
		s.Run(5 * time.Second)
		if d := arrival(t, b, out); !about(d, 2010*time.Millisecond, time.Millisecond) {
			t.Errorf("rate %d: what leaves comes after %v, want 2.01 s", rate, d)
		}
		if d := arrival(t, a, in); d > 11*time.Millisecond {
			t.Errorf("rate %d: what comes in takes %v", rate, d)
		}
	}
}

func TestCrashIsNoticedLaterAndLosesNothingUnderWay(t *testing.T) {
	s, a, b := pair(t)
	under := a.Publish("x", 10)
	a.Crash(true)
	if a.Up() || !connected(a, b) {
		t.Error("want it down, and the other not to know yet")
	}
	s.Run(time.Second)
	arrival(t, b, under)
	missed := b.Publish("x", 10)
	s.Run(4 * time.Second)
	if len(b.Neighbours()) > 0 {
		t.Error("the crash is not noticed in 5 s")
	}
	a.Restart(false)
	if x := a.Arrival(under); !x.Stored() {
		t.Error("it has lost its log")
	}
	s.Run(5 * time.Second)
	if !connected(a, b) {
		t.Error("the connection does not come back")
	}
	arrival(t, a, missed)
}

func TestCrashWithoutRestartIsForGood(t *testing.T) {
	s, a, b := pair(t)
	a.Crash(false)
	s.Run(30 * time.Second)
	if a.Up() || len(b.Neighbours()) > 0 {
		t.Error("want it down, and the other to know")
	}
	for _, e := range s.queue.heap {
		if _, ok := e.do.(call); ok {
			t.Error("somebody still tries to reach it")
		}
	}
}

func TestRestartWithoutLogIsRepaired(t *testing.T) {
	s, a, b := pair(t)
	own, other := a.Publish("x", 10), b.Publish("x", 10)
	s.Run(time.Second)
	a.Crash(true)
	s.Run(time.Second)
	a.Restart(true)
	for _, i := range []int{own, other} {
		if x := a.Arrival(i); x.Seen() {
			t.Errorf("batch %d is still there", i)
		}
	}
	s.Run(15 * time.Second)
	for _, i := range []int{own, other} {
		if x := a.Arrival(i); !x.IsReleased() {
			t.Errorf("batch %d did not come back", i)
		}
	}
}

func TestLeaveIsKnownAtOnce(t *testing.T) {
	s, a, b := pair(t)
	a.Leave()
	if a.Up() || len(b.Neighbours()) > 0 {
		t.Error("want it down, and the other to know")
	}
	s.Run(30 * time.Second)
	if len(b.Neighbours()) > 0 {
		t.Error("it came back")
	}
}

func TestCutComesBackIfItIsOfTheOverlay(t *testing.T) {
	s := star(t, 1, Network{Latency: 10 * time.Millisecond})
	a, b, c := s.Nodes()[0], s.Nodes()[1], s.Add(NodeParams{Filters: []string{">"}})
	s.Link([]Edge{{0, c.Index}})
	s.Cut(a, b)
	s.Cut(a, c)
	if len(a.Neighbours()) > 0 {
		t.Error("want no connection")
	}
	s.Run(3 * time.Second)
	if !connected(a, b) || connected(a, c) {
		t.Error("want the overlay's connection back, and not the other")
	}
}

// TestDial: a core's wish takes a handshake, three latencies, and fails if nobody answers.
func TestDial(t *testing.T) {
	s := New(Params{Seed: 1, Exchange: true})
	s.Net.Latency = 100 * time.Millisecond
	a := s.Add(NodeParams{Filters: []string{"x"}})
	b := s.Add(NodeParams{Filters: []string{"x"}})
	down := s.Add(NodeParams{Filters: []string{"x"}})
	down.Crash(true)
	a.Core().Known("x", slices.Concat(records(b), records(down)))
	a.Step()
	took, ok := time.Duration(0), false
	for ; took < 10*time.Second && !ok; took += time.Millisecond {
		s.Run(time.Millisecond)
		ok = connected(a, b)
	}
	if !ok || took < 300*time.Millisecond {
		t.Fatalf("connected: %v, after %v; want three latencies at least", ok, took)
	}
	s.Run(10 * time.Second)
	if s.Tally().Dials < 2 || connected(a, down) {
		t.Errorf("%d wishes, want one for each node; and no connection with one that is down", s.Tally().Dials)
	}
	down.Restart(false)
	if !s.RunUntil(5*time.Minute, func() bool { return connected(a, down) }) {
		t.Error("a peer that could not be reached is not tried again")
	}
}

// records returns what a rendezvous tells of the nodes.
func records(nodes ...*Node) (list []wire.Record) {
	for _, n := range nodes {
		list = append(list, n.Record())
	}
	return list
}

func TestDialOfNobodyFails(t *testing.T) {
	s := New(Params{Seed: 1, Exchange: true})
	a := s.Add(NodeParams{Filters: []string{"x"}})
	a.Core().Known("x", []wire.Record{{Peer: wire.Author{1, 2, 3}.PeerID(), Signed: []byte("damaged")}})
	a.Step()
	s.Run(time.Minute)
	if s.Tally().Dials == 0 || len(a.Neighbours()) > 0 {
		t.Errorf("%d dials, %d neighbours", s.Tally().Dials, len(a.Neighbours()))
	}
}
