package gossip

import (
	"fmt"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// TopicConfig is the setting of the topics that match a filter. All nodes of a
// topic should have the same: where they differ, rumors cost more and reach fewer,
// and anti-entropy brings the rest.
type TopicConfig struct {
	// Filter names the topics.
	Filter string

	// Mongering is how rumors spread there. Default nil: along a tree per author.
	Mongering *Mongering

	// NoAntiEntropy leaves the topics out of anti-entropy, and tells no heads: what
	// rumors miss stays missed. It is for experiments, with Mongering alone: a tree
	// spreads by heads. Gaps are still reported after GapTimeout.
	NoAntiEntropy bool
}

// Mongering holds the parameters of rumor mongering (Demers et al., PODC 1987,
// sections 1.4 and 1.5). The zero value is not valid; start from [DefaultMongering].
type Mongering struct {
	// Mode says who sends in a contact. Default PushPull.
	Mode Mode

	// Blind nodes lose interest whatever the recipients knew. Default false: by
	// feedback, after useless contacts.
	//
	// A blind push counts each batch sent. A blind pull counts each answer that
	// named the rumor, for the answerer offered it then and is told no more about it
	// than whether to send it.
	Blind bool

	// Coin makes a node lose interest with probability 1/K, at each send (blind) or
	// useless contact. Default false: after K cycles with a send (blind), or K cycles in a
	// row with useless contacts alone.
	Coin bool

	// K is how often, or 1/K the probability. 1 to 254. Default 2: a residue of
	// 3.7 % for push at 3.3 batches a node (Demers, table 1), which anti-entropy repairs.
	K int

	// Fanout is how many partners a node contacts in a cycle. Default 1, as Demers.
	Fanout int

	// ConnectionLimit is how many contacts a node accepts in a cycle; it refuses
	// the others. Default 0: no limit. With one, a contact costs a round trip before batches
	// go.
	ConnectionLimit int

	// Hunt is how many other partners a node tries in a cycle in place of those that
	// refused. Default 0. It needs a ConnectionLimit.
	Hunt int

	// Minimize has, of two nodes that both know a rumor, only the one with the
	// smaller counter raise it. Default false. It needs PushPull, feedback and a counter.
	Minimize bool

	// Interval is the length of a cycle: cycles begin at its multiples on the node's
	// clock. Default 100ms. It should exceed a round trip, or feedback comes cycles late and
	// rumors are sent more often.
	Interval time.Duration
}

// DefaultMongering returns the parameters for a LAN or a good WAN.
func DefaultMongering() Mongering {
	return Mongering{Mode: PushPull, K: 2, Fanout: 1, Interval: 100 * time.Millisecond}
}

const (
	counterMax   = wire.CounterRemoved - 1
	fanoutMax    = 64 // nobody is contacted so often in a cycle by honest nodes that it would decline
	limitMax     = 1 << 16
	intervalsMax = 24 * time.Hour
)

// validate reports what is out of range, with the names of the fields after prefix.
func (t TopicConfig) validate(prefix string, bad func(name string, got any, want string)) {
	if err := wire.ValidFilter(t.Filter); err != nil {
		bad(prefix+"Filter", t.Filter, "a filter")
	}
	m := t.Mongering
	if m == nil {
		if t.NoAntiEntropy {
			bad(prefix+"NoAntiEntropy", true, "false without Mongering: a tree spreads by heads")
		}
		return
	}
	prefix += "Mongering."
	for _, n := range []struct {
		name           string
		got, low, high int
	}{
		{"K", m.K, 1, counterMax},
		{"Fanout", m.Fanout, 1, fanoutMax},
		{"ConnectionLimit", m.ConnectionLimit, 0, limitMax},
		{"Hunt", m.Hunt, 0, limitMax},
	} {
		if n.got < n.low || n.got > n.high {
			bad(prefix+n.name, n.got, fmt.Sprintf("%d to %d", n.low, n.high))
		}
	}
	if m.Mode > Pull {
		bad(prefix+"Mode", m.Mode, "PushPull, Push or Pull")
	}
	if m.Hunt > 0 && m.ConnectionLimit == 0 {
		bad(prefix+"Hunt", m.Hunt, "0 without a ConnectionLimit")
	}
	if m.Minimize && (m.Mode != PushPull || m.Blind || m.Coin) {
		bad(prefix+"Minimize", true, "false but with PushPull, feedback and a counter")
	}
	if m.Interval <= 0 || m.Interval > intervalsMax {
		bad(prefix+"Interval", m.Interval, "> 0 and at most "+intervalsMax.String())
	}
}

// cloneTopics returns a copy that shares nothing with the caller's.
func cloneTopics(list []TopicConfig) []TopicConfig {
	topics := make([]TopicConfig, len(list))
	for i, t := range list {
		if t.Mongering != nil {
			m := *t.Mongering
			t.Mongering = &m
		}
		topics[i] = t
	}
	return topics
}

// strategyOf sets how rumors spread on the topic: once, when it is made.
func (c *Core) strategyOf(t *topic) {
	t.strategy, t.compared = tree{c}, true
	for i := range c.cfg.Topics {
		cfg := &c.cfg.Topics[i]
		if !wire.Match(cfg.Filter, t.name) {
			continue
		}
		t.compared = !cfg.NoAntiEntropy
		if cfg.Mongering != nil {
			t.monger = newMonger(c, t, cfg.Mongering)
			t.strategy = t.monger
		}
		return
	}
}
