package sim

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/busnode/busnode/gossip"
	"github.com/busnode/busnode/gossip/wire"
)

// row returns n connected readers of everything, in a line, and checkers that watch them.
func row(t *testing.T, n int) (*Sim, []Checker) {
	t.Helper()
	s := New(Params{Seed: 1})
	s.Net.Latency = 10 * time.Millisecond
	checkers := Checkers(s)
	for range n {
		s.Add(NodeParams{Publisher: true, Filters: []string{">"}, Phase: -1})
	}
	s.Connect(Line(n))
	s.Run(2 * time.Second)
	return s, checkers
}

// wantFinding fails unless one checker alone, that of the promise, found something
// that says want.
func wantFinding(t *testing.T, s *Sim, checkers []Checker, promise, want string) {
	t.Helper()
	found := false
	for _, c := range checkers {
		c.End(s)
		err := c.Err()
		switch {
		case err == nil:
		case !errors.Is(err, ErrBroken):
			t.Errorf("error %v does not wrap ErrBroken", err)
		case strings.Contains(err.Error(), promise):
			found = true
			if !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, want %q", err, want)
			}
		case promise == "":
			t.Errorf("nothing is wrong, but: %v", err)
		}
	}
	if !found && promise != "" {
		t.Errorf("no checker found that %s is broken: %s", promise, want)
	}
}

// tell calls do with each checker, as the simulation does with its observers.
func tell(checkers []Checker, do func(Observer)) {
	for _, c := range checkers {
		do(c)
	}
}

func TestCheckersFindNothingInARunWithoutFaults(t *testing.T) {
	s, checkers := row(t, 4)
	for range 20 {
		s.Nodes()[0].Publish("x", 10)
		s.Nodes()[3].Publish("y", 10)
		s.Run(50 * time.Millisecond)
	}
	s.Run(5 * time.Second)
	wantFinding(t, s, checkers, "", "")
}

func TestEverywhereCheckerFindsWhatIsMissing(t *testing.T) {
	s, checkers := row(t, 3)
	s.Nodes()[0].Publish("x", 10)
	s.Run(5 * time.Millisecond) // it is on its way
	wantFinding(t, s, checkers, "P2", "node 1 lacks batch 0")
}

func TestOnceChecker(t *testing.T) {
	for _, c := range []struct {
		name, want string
		do         func(n *Node, o Observer)
	}{
		{"stored again", "node 1 stores batch 0", func(n *Node, o Observer) { o.Stored(n, 0) }},
		{"released again", "node 1 releases batch 0", func(n *Node, o Observer) { o.Released(n, 0, true) }},
		{"never published", "which nobody published", func(n *Node, o Observer) { o.Stored(n, 7) }},
		{"not held", "which it does not hold", func(n *Node, o Observer) { o.Restarted(n, true); o.Released(n, 0, false) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, checkers := row(t, 2)
			s.Nodes()[0].Publish("x", 10)
			s.Run(time.Second)
			tell(checkers[1:2], func(o Observer) { c.do(s.Nodes()[1], o) })
			wantFinding(t, s, checkers, "P3", c.want)
		})
	}
}

// stale is a run in which node 0 published five batches that node 2, which was
// never connected, did not get: what it is shown is up to the test.
func stale(t *testing.T) (*Sim, *Node, *OrderChecker) {
	t.Helper()
	s, _ := row(t, 2)
	n := s.Add(NodeParams{Filters: []string{">"}})
	for range 5 {
		s.Nodes()[0].Publish("x", 10)
	}
	s.Run(time.Second)
	return s, n, NewOrderChecker(s)
}

func TestOrderChecker(t *testing.T) {
	for _, c := range []struct {
		name string
		want string // empty: nothing is wrong
		do   func(s *Sim, n *Node, c *OrderChecker)
	}{
		{"in order", "", func(_ *Sim, n *Node, c *OrderChecker) { show(c, n, 0, 1, 2) }},
		{"backwards", "comes after", func(_ *Sim, n *Node, c *OrderChecker) { show(c, n, 0, 1, 0) }},
		{"skipped", "skipped without a gap", func(_ *Sim, n *Node, c *OrderChecker) { show(c, n, 0, 2) }},
		{"from the middle", "skipped without a gap", func(_ *Sim, n *Node, c *OrderChecker) { show(c, n, 3) }},
		{"after its gap", "", func(s *Sim, n *Node, c *OrderChecker) {
			show(c, n, 0)
			c.Gap(n, s.gapOf(1, 2))
			show(c, n, 3)
			c.Released(n, 2, true)
			c.Released(n, 1, true)
		}},
		{"late without a gap", "no gap was told", func(_ *Sim, n *Node, c *OrderChecker) {
			show(c, n, 0, 1)
			c.Released(n, 1, true)
		}},
		{"late ahead", "readers are at", func(_ *Sim, n *Node, c *OrderChecker) {
			show(c, n, 0)
			c.Released(n, 1, true)
		}},
		{"not marked late", "comes after", func(s *Sim, n *Node, c *OrderChecker) {
			show(c, n, 0)
			c.Gap(n, s.gapOf(1, 2))
			show(c, n, 1)
		}},
		{"gap behind", "a gap is told up to", func(s *Sim, n *Node, c *OrderChecker) {
			show(c, n, 0, 1, 2)
			c.Gap(n, s.gapOf(1, 2))
		}},
		{"gap with a hole before it", "a gap is told from", func(s *Sim, n *Node, c *OrderChecker) {
			show(c, n, 0)
			c.Gap(n, s.gapOf(2, 3))
		}},
		{"again after the log was lost", "", func(_ *Sim, n *Node, c *OrderChecker) {
			show(c, n, 0, 1)
			c.Restarted(n, true)
			show(c, n, 0, 1)
		}},
		{"the author lost its log", "", func(s *Sim, n *Node, c *OrderChecker) {
			show(c, n, 0, 1, 2)
			c.Restarted(s.Nodes()[0], true)
			c.Released(n, 1, true)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, n, checker := stale(t)
			c.do(s, n, checker)
			switch err := checker.Err(); {
			case err == nil && c.want != "":
				t.Errorf("no finding, want %q", c.want)
			case err != nil && (c.want == "" || !strings.Contains(err.Error(), c.want)):
				t.Errorf("finding %v, want %q", err, c.want)
			}
		})
	}
}

func show(c *OrderChecker, n *Node, batches ...int) {
	for _, b := range batches {
		c.Released(n, b, false)
	}
}

// gapOf returns the gap of batches that follow each other.
func (s *Sim) gapOf(from, to int) *gossip.Gap {
	first, last := &s.store.batches[from].Batch.Header, &s.store.batches[to].Batch.Header
	return &gossip.Gap{
		Topic: first.Topic, Author: first.Author, From: first.Start(), To: last.End(), Reason: gossip.GapLost,
	}
}

func TestSilentChecker(t *testing.T) {
	t.Run("not counted", func(t *testing.T) {
		s, checkers := row(t, 2)
		s.Nodes()[0].Publish("x", 10)
		s.Run(time.Second)
		s.tally.Copies++
		wantFinding(t, s, checkers, "P5 never silent: at", "2 batches reached the nodes, and their cores account for 1")
	})
	t.Run("counted before a crash", func(t *testing.T) {
		s, checkers := row(t, 2)
		s.Nodes()[0].Publish("x", 10)
		s.Run(time.Second)
		s.Nodes()[1].Crash(true)
		s.Nodes()[1].Restart(false)
		wantFinding(t, s, checkers, "", "")
	})
	t.Run("not shown", func(t *testing.T) {
		s, checkers := row(t, 2)
		s.Nodes()[0].Publish("x", 10)
		s.Run(time.Second)
		s.Nodes()[1].log.arrivals[0].state &^= released
		wantFinding(t, s, checkers, "P5 never silent: at", "node 1 holds batch 0")
	})
}

func TestBoundedChecker(t *testing.T) {
	t.Run("storm", func(t *testing.T) {
		s, checkers := row(t, 2)
		for range messagesMax {
			tell(checkers, func(o Observer) { o.Sent(s.Nodes()[0], s.Nodes()[1], &wire.Hello{}, -1) })
		}
		wantFinding(t, s, checkers, "P8 bounded", "sends node 1 1000 messages and 0 batches in a second")
	})
	t.Run("an exchange at rest", func(t *testing.T) {
		s, checkers := row(t, 2)
		bounded := checkers[4].(*BoundedChecker)
		bounded.Sent(s.Nodes()[0], s.Nodes()[1], &wire.Open{Topic: "x"}, -1)
		wantFinding(t, s, checkers, "", "")
		bounded.Quiet()
		bounded.Sent(s.Nodes()[0], s.Nodes()[1], &wire.Open{Topic: "x"}, -1)
		wantFinding(t, s, checkers, "P8 bounded", "node 0 opens an exchange on x with node 1")
	})
	t.Run("a core that keeps what the log has not got", func(t *testing.T) {
		s, checkers := row(t, 2)
		s.Nodes()[0].Publish("x", 10)
		s.Run(time.Second)
		s.Nodes()[0].log.arrivals[0].state &^= stored
		wantFinding(t, s, checkers[4:5], "P8 bounded", "node 0's core keeps 1 batches; its log, 0")
	})
}

func TestHonestChecker(t *testing.T) {
	s, checkers := row(t, 2)
	a, b := s.Nodes()[0], s.Nodes()[1]
	for range 64 {
		a.Core().Misbehaved(b.ID(), "it looked at me")
	}
	a.Step()
	wantFinding(t, s, checkers, "who keeps to the rules", "node 0 drops node 1: 64 offences, the last: it looked at me")
}

func TestContractChecker(t *testing.T) {
	t.Run("a batch that is not held", func(t *testing.T) {
		s, checkers := row(t, 3)
		s.Nodes()[0].Publish("x", 10)
		tell(checkers, func(o Observer) { o.Sent(s.Nodes()[1], s.Nodes()[2], nil, 0) })
		wantFinding(t, s, checkers, "contract", "node 1 sends batch 0")
	})
	t.Run("a batch that nobody asked for", func(t *testing.T) {
		s, checkers := row(t, 2)
		shy := s.Add(NodeParams{Publisher: true})
		s.Nodes()[0].Publish("x", 10)
		tell(checkers, func(o Observer) { o.Sent(s.Nodes()[0], shy, nil, 0) })
		wantFinding(t, s, checkers, "contract", "node 2 is sent batch 0")
	})
	t.Run("an answer to an interest that was taken back", func(t *testing.T) {
		s, checkers := row(t, 2)
		s.Nodes()[0].Publish("x", 10)
		s.Run(time.Second)
		s.Nodes()[1].Disinterest(">")
		tell(checkers, func(o Observer) { o.Sent(s.Nodes()[0], s.Nodes()[1], nil, 0) })
		wantFinding(t, s, checkers, "", "")
	})
	t.Run("a gap that ends before it begins", func(t *testing.T) {
		s, checkers := row(t, 2)
		from, to := wire.Mark{Epoch: 1, Seq: 2}, wire.Mark{Epoch: 1, Seq: 1}
		g := &gossip.Gap{Topic: "x", From: from, To: to, Reason: gossip.GapLost}
		tell(checkers, func(o Observer) { o.Gap(s.Nodes()[1], g) })
		wantFinding(t, s, checkers, "contract", "before its beginning")
	})
}

func TestAPanicIsAnErrorOfTheRun(t *testing.T) {
	p := Swarm(1)
	p.Faults = Faults{Reorder: 1, ReorderBy: -2 * time.Second} // the source of randomness refuses that
	if r := p.Run(); !errors.Is(r.Err, ErrBroken) || !strings.Contains(r.Err.Error(), "panic at") {
		t.Errorf("error %v, want a panic's", r.Err)
	}
}
