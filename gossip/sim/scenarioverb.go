package sim

import (
	"fmt"
	"time"

	"github.com/busnode/busnode/gossip"
)

// verb is what a line may begin with.
type verb struct {
	name, usage string
	before      bool // the first nodes
	after       bool
	parse       func(s *Scenario, a *args) action
}

// verbs are set up below: parsing one looks at all of them.
var verbs []verb

func init() {
	verbs = append(verbs, setupVerbs...)
	verbs = append(verbs, strikeVerbs...)
	verbs = append(verbs, verb{name: "expect", usage: expectUsage, after: true, parse: parseExpect})
}

// nodesMax keeps a script from asking for more than a machine has.
const nodesMax = 100_000

var setupVerbs = []verb{
	{"seed", "N", true, false, func(s *Scenario, a *args) action {
		s.params.Seed = a.seed()
		return nil
	}},
	{
		"config", "degree|mode|retain-age|heartbeat|settle|gap-timeout|graft-delay|have-delay|want-timeout VALUE",
		true, false, parseConfig,
	},
	{"store", "DURATION", true, false, func(s *Scenario, a *args) action {
		s.params.StoreDelay = a.duration("the log's delay")
		return nil
	}},
	{"detect", "DURATION", true, false, func(s *Scenario, a *args) action {
		s.params.DetectAfter = a.durationFrom("the time", time.Millisecond)
		return nil
	}},
	{"redial", "DURATION|never", true, false, func(s *Scenario, a *args) action {
		if a.has("never") {
			s.params.Redial = -1
			return nil
		}
		s.params.Redial = a.durationFrom("the time", 2*time.Nanosecond)
		return nil
	}},
	{"encode", "", true, false, func(s *Scenario, _ *args) action {
		s.params.Encode = true
		return nil
	}},
	{"nodes", "N [reading FILTER | publishing]", false, false, parseNodes},
	{"overlay", "line|ring|star|tree|full|regular DEGREE", false, true, parseOverlay},
	{"latency", "DURATION", false, false, func(_ *Scenario, a *args) action {
		d := a.duration("the latency")
		return func(p *play) (string, error) { p.sim.Net.Latency = d; return "", nil }
	}},
	{"jitter", "DURATION", false, false, func(_ *Scenario, a *args) action {
		d := a.duration("the jitter")
		return func(p *play) (string, error) { p.sim.Net.Jitter = d; return "", nil }
	}},
	{"rate", "BITS|unlimited", false, false, func(_ *Scenario, a *args) action {
		rate := 0
		if !a.has("unlimited") {
			rate = a.rate()
		}
		return func(p *play) (string, error) { p.sim.Net.Rate = rate; return "", nil }
	}},
	shareVerb("loss", func(s *Sim) *float64 { return &s.Net.Loss }),
	shareVerb("drop", func(s *Sim) *float64 { return &s.Faults.Drop }),
	shareVerb("duplicate", func(s *Sim) *float64 { return &s.Faults.Duplicate }),
	shareVerb("outbox", func(s *Sim) *float64 { return &s.Faults.Outbox }),
	{"corrupt", "SHARE", false, false, func(s *Scenario, a *args) action {
		share := a.share()
		if share > 0 && !s.params.Encode {
			a.fail("only frames that are encoded can be corrupted; put a line with encode before the first nodes")
		}
		return func(p *play) (string, error) { p.sim.Faults.Corrupt = share; return "", nil }
	}},
	{"reorder", "SHARE DURATION", false, false, func(_ *Scenario, a *args) action {
		share, by := a.share(), a.duration("by how much")
		return func(p *play) (string, error) {
			p.sim.Faults.Reorder, p.sim.Faults.ReorderBy = share, by
			return "", nil
		}
	}},
}

// lossMax bounds shares of what is lost: a packet that is always lost is sent again for ever.
const lossMax = 0.9

func shareVerb(name string, of func(*Sim) *float64) verb {
	return verb{name, "SHARE", false, false, func(_ *Scenario, a *args) action {
		share := a.share()
		if share > lossMax {
			a.fail("a share of %g is too much; at most %g", share, lossMax)
		}
		return func(p *play) (string, error) { *of(p.sim) = share; return "", nil }
	}}
}

func parseConfig(s *Scenario, a *args) action {
	c := &s.config
	durations := []struct {
		name string
		at   *time.Duration
	}{
		{"gap-timeout", &c.GapTimeout},
		{"graft-delay", &c.GraftDelay},
		{"have-delay", &c.HaveDelay},
		{"want-timeout", &c.WantTimeout},
		{"heartbeat", &c.HeartbeatInterval},
		{"settle", &c.Settle},
		{"retain-age", &c.RetainAge},
	}
	name := a.next("the setting")
	for _, d := range durations {
		if d.name == name {
			*d.at = a.duration("the time")
			return nil
		}
	}
	switch name {
	case "degree":
		c.Degree = a.count("the degree", 1, nodesMax)
	case "mode":
		names := []string{"push-pull", "push", "pull"}
		mode := a.oneOf("the mode", names...)
		for i, m := range []gossip.Mode{gossip.PushPull, gossip.Push, gossip.Pull} {
			if names[i] == mode {
				c.Mode = m
			}
		}
	default:
		a.fail("there is no setting %q", name)
	}
	return nil
}

func parseNodes(s *Scenario, a *args) action {
	n := a.count("how many", 1, nodesMax)
	params := s.moreNodes(a, n)
	return func(p *play) (string, error) {
		for range n {
			p.sim.Add(params)
		}
		return p.upText(), nil
	}
}

// moreNodes counts nodes that a line adds, and takes what they read.
func (s *Scenario) moreNodes(a *args, n int) NodeParams {
	params := NodeParams{Publisher: true, Filters: []string{">"}, Phase: -1}
	switch {
	case a.has("reading"):
		params.Filters = []string{a.filter()}
	case a.has("publishing"):
		params.Filters = nil
	}
	if s.nodes += n; s.nodes > nodesMax {
		a.fail("%d nodes are too many; at most %d", s.nodes, nodesMax)
	}
	return params
}

func (p *play) upText() string {
	up := 0
	for _, n := range p.sim.nodes {
		if n.Up() {
			up++
		}
	}
	return fmt.Sprintf("%d nodes up", up)
}

func parseOverlay(s *Scenario, a *args) action {
	plan := Plan{Nodes: s.nodes, Overlay: a.oneOf("the overlay", "line", "ring", "star", "tree", "full", "regular")}
	if plan.Overlay == "regular" {
		plan.Links = a.count("the degree", 2, nodesMax)
	}
	return func(p *play) (string, error) {
		p.sim.Connect(plan.overlay(p.sim.Rand(overlaySource)))
		return fmt.Sprintf("%d connections", len(p.sim.Edges())), nil
	}
}

// overlaySource is the source of randomness for overlays.
const overlaySource = 3
