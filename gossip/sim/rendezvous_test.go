package sim

import (
	"testing"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// payloads notes which nodes send batches of a topic.
type payloads struct {
	Ignore
	s     *Sim
	topic string
	sent  map[int]int
}

func (p *payloads) Sent(n, _ *Node, m wire.Message, batch int) {
	if m == nil && p.s.Batches()[batch].Batch.Header.Topic == p.topic {
		p.sent[n.Index]++
	}
}

// TestFewSubscribersAmongMany: of many nodes five care about a topic, and are not connected with each
// other. A rendezvous tells each of the others that came before; they connect and are served, and nobody else
// carries a batch of theirs.
func TestFewSubscribersAmongMany(t *testing.T) {
	t.Parallel()
	nodes := 10_000
	if testing.Short() {
		nodes = 500
	}
	s := New(Params{Seed: 1, Exchange: true})
	s.Net = Network{Latency: 50 * time.Millisecond, Rate: 100e6 / 8}
	var few []*Node
	for i := range nodes {
		p := NodeParams{Filters: []string{"all"}, Phase: -1}
		if i%(nodes/5) == 0 {
			p.Publisher, p.Filters = true, []string{"all", "few"}
		}
		if n := s.Add(p); p.Publisher {
			few = append(few, n)
		}
	}
	edges, err := Regular(nodes, 4, s.Rand(3))
	if err != nil {
		t.Fatal(err)
	}
	s.Link(edges)
	s.Run(2 * time.Second)
	watch := &payloads{s: s, topic: "few", sent: map[int]int{}}
	s.Observe(watch)
	for i, n := range few {
		n.Core().Known("few", records(few[:i]...)) // the rendezvous
		n.Step()
		s.Run(500 * time.Millisecond)
	}
	s.Run(3 * time.Second)
	var published []int
	for range 4 {
		for _, n := range few {
			published = append(published, n.Publish("few", 100))
			s.Run(50 * time.Millisecond)
		}
	}
	s.Run(5 * time.Second)
	for _, b := range published {
		for _, n := range few {
			if d := arrival(t, n, b); d > time.Second {
				t.Errorf("batch %d reached node %d after %v", b, n.Index, d)
			}
		}
	}
	served := map[int]bool{}
	for _, n := range few {
		served[n.Index] = true
	}
	for i := range watch.sent {
		if !served[i] {
			t.Errorf("node %d, which does not care, sends batches", i)
		}
	}
	for _, n := range s.Nodes() {
		for _, b := range published {
			if a := n.Arrival(b); a.Seen() && !served[n.Index] {
				t.Fatalf("node %d, which does not care, received batch %d", n.Index, b)
			}
		}
	}
}
