package sim

import (
	"fmt"
	"time"
)

// strikeVerbs are load and faults.
var strikeVerbs = []verb{
	{"run", "DURATION", false, true, func(_ *Scenario, a *args) action {
		d := a.duration("how long")
		return func(p *play) (string, error) {
			p.sim.RunUntil(d, p.ended)
			return p.state(), nil
		}
	}},
	{"publish", "NODES N [every DURATION] [topic NAME] [bytes N]", false, true, parsePublish},
	{"measure", "", false, true, func(*Scenario, *args) action {
		return func(p *play) (string, error) {
			p.base, p.first = p.sim.Tally(), len(p.sim.store.batches)
			return "what comes counts", nil
		}
	}},
	eachVerb("interest", "NODES FILTER", func(a *args) func(*play, *Node) error {
		filter := a.filter()
		return func(_ *play, n *Node) error { n.Interest(filter); return nil }
	}),
	eachVerb("disinterest", "NODES FILTER", func(a *args) func(*play, *Node) error {
		filter := a.filter()
		return func(_ *play, n *Node) error { n.Disinterest(filter); return nil }
	}),
	{"partition", "NODES [for DURATION]", false, true, func(_ *Scenario, a *args) action { return parseWall(a, false) }},
	{"one-way", "NODES [for DURATION]", false, true, func(_ *Scenario, a *args) action { return parseWall(a, true) }},
	{"heal", "", false, true, func(*Scenario, *args) action {
		return func(p *play) (string, error) {
			for _, w := range p.walls {
				w.Heal()
			}
			p.walls = nil
			return "no partition", nil
		}
	}},
	eachVerb("crash", "NODES", func(*args) func(*play, *Node) error {
		return func(_ *play, n *Node) error {
			if !n.Up() {
				return misfitf("node %d is down already", n.Index)
			}
			n.Crash(true)
			return nil
		}
	}),
	eachVerb("restart", "NODES [lost]", func(a *args) func(*play, *Node) error {
		lost := a.has("lost")
		return func(_ *play, n *Node) error {
			if n.Up() || n.gone {
				return misfitf("node %d did not crash; only what crashed restarts", n.Index)
			}
			n.Restart(lost)
			return nil
		}
	}),
	eachVerb("leave", "NODES", func(*args) func(*play, *Node) error {
		return func(_ *play, n *Node) error {
			if !n.Up() {
				return misfitf("node %d is down already", n.Index)
			}
			n.Leave()
			return nil
		}
	}),
	{"join", "N to NODES [reading FILTER | publishing]", false, true, parseJoin},
	pairVerb("cut", func(p *play, x, y *Node) { p.sim.Cut(x, y) }),
	pairVerb("link", func(p *play, x, y *Node) {
		x.keep(y)
		if !p.sim.link(x, y) && x.linkTo(y) == nil {
			p.sim.redial(x, y)
		}
	}),
	eachVerb("clog", "NODES DURATION", func(a *args) func(*play, *Node) error {
		d := a.duration("how long")
		return func(_ *play, n *Node) error { n.Clog(d); return nil }
	}),
	eachVerb("skew", "NODES DURATION", func(a *args) func(*play, *Node) error {
		d := a.durationFrom("the skew", -durationMax)
		return func(_ *play, n *Node) error { n.Skew = d; return nil }
	}),
	eachVerb("refuse", "NODES", func(*args) func(*play, *Node) error {
		return func(_ *play, n *Node) error { n.Refuse(true); return nil }
	}),
	eachVerb("accept", "NODES", func(*args) func(*play, *Node) error {
		return func(_ *play, n *Node) error { n.Refuse(false); return nil }
	}),
	eachVerb("trim", "NODES N of NODE [topic NAME]", func(a *args) func(*play, *Node) error {
		count := a.count("how many", 1, 1<<30)
		if !a.has("of") {
			a.fail("«of» and the author's node are missing")
		}
		author, topic := a.node(), a.topic()
		return func(p *play, n *Node) error {
			if !n.Up() {
				return misfitf("node %d is down", n.Index)
			}
			held := n.Held(topic, p.sim.nodes[author])
			n.Trim(held[:min(count, len(held))])
			return nil
		}
	}),
	{"equivocate", "NODE to NODE [topic NAME]", false, true, parseEquivocate},
}

// eachVerb is a verb that does something with each of some nodes.
func eachVerb(name, usage string, parse func(*args) func(*play, *Node) error) verb {
	return verb{name, usage, false, true, func(_ *Scenario, a *args) action {
		some := a.some()
		do := parse(a)
		return func(p *play) (string, error) {
			for _, i := range some {
				if err := do(p, p.sim.nodes[i]); err != nil {
					return "", err
				}
			}
			return p.upText(), nil
		}
	}}
}

// pairVerb is a verb that does something with two nodes.
func pairVerb(name string, do func(p *play, x, y *Node)) verb {
	return verb{name, "NODE NODE", false, true, func(_ *Scenario, a *args) action {
		x, y := a.node(), a.node()
		if x == y {
			a.fail("node %d twice", x)
		}
		return func(p *play) (string, error) {
			do(p, p.sim.nodes[x], p.sim.nodes[y])
			return fmt.Sprintf("%d connections", len(p.sim.Edges())), nil
		}
	}}
}

// payloadOfScripts is what an event has if a script does not say it.
const payloadOfScripts = 100

func parsePublish(_ *Scenario, a *args) action {
	some, count := a.some(), a.count("how many", 1, 1_000_000)
	every, bytes := time.Duration(0), payloadOfScripts
	if a.has("every") {
		every = a.duration("the interval")
	}
	topic := a.topic()
	if a.has("bytes") {
		bytes = a.count("how many bytes", 0, payloadMax)
	}
	return func(p *play) (string, error) {
		for i := range count {
			p.sim.At(time.Duration(i)*every, func() {
				for _, j := range some {
					n := p.sim.nodes[j]
					if !n.Up() || n.log.refuses {
						p.skipped++
						continue
					}
					n.Publish(topic, bytes)
				}
			})
		}
		if every == 0 {
			p.sim.Run(0)
		}
		return fmt.Sprintf("%d events, until %v", count*len(some), p.sim.Now()+time.Duration(count-1)*every), nil
	}
}

func parseWall(a *args, oneWay bool) action {
	some := a.some()
	var d time.Duration
	if a.has("for") {
		d = a.duration("how long")
	}
	return func(p *play) (string, error) {
		inside := make([]*Node, len(some))
		for i, j := range some {
			inside[i] = p.sim.nodes[j]
		}
		w := p.sim.Partition(inside, oneWay)
		p.walls = append(p.walls, w)
		if d > 0 {
			p.sim.At(d, w.Heal)
		}
		if oneWay {
			return fmt.Sprintf("%d nodes are not heard by the others", len(some)), nil
		}
		return fmt.Sprintf("%d nodes are apart from the others", len(some)), nil
	}
}

func parseJoin(s *Scenario, a *args) action {
	count := a.count("how many", 1, nodesMax)
	if !a.has("to") {
		a.fail("«to» and the nodes that it knows are missing")
	}
	to := a.some()
	params := s.moreNodes(a, count)
	return func(p *play) (string, error) {
		for range count {
			n := p.sim.Add(params)
			for _, i := range to {
				peer := p.sim.nodes[i]
				n.keep(peer)
				if !p.sim.link(n, peer) {
					p.sim.redial(n, peer)
				}
			}
		}
		return p.upText(), nil
	}
}

func parseEquivocate(_ *Scenario, a *args) action {
	i := a.node()
	if !a.has("to") {
		a.fail("«to» and the neighbour are missing")
	}
	j, topic := a.node(), a.topic()
	return func(p *play) (string, error) {
		n, to := p.sim.nodes[i], p.sim.nodes[j]
		if n.linkTo(to) == nil {
			return "", misfitf("nodes %d and %d are not connected; it hands the other batch to a neighbour", i, j)
		}
		n.Equivocate(topic, to)
		return fmt.Sprintf("node %d signed two batches for one place", i), nil
	}
}

// state says in a line how things are.
func (p *play) state() string {
	s := p.sim
	published := len(s.store.batches)
	pairs, has := 0, 0
	for _, n := range s.nodes {
		if !n.Up() {
			continue
		}
		for i := range s.store.batches {
			if s.store.batches[i].Author != n.Index && n.wants(s.store.batches[i].Batch.Header.Topic) {
				pairs++
				if a := n.Arrival(i); a.IsReleased() {
					has++
				}
			}
		}
	}
	text := fmt.Sprintf("%s, %d events", p.upText(), published)
	if pairs > 0 {
		text += fmt.Sprintf(", %.1f %% delivered", 100*float64(has)/float64(pairs))
	}
	if p.skipped > 0 {
		text += fmt.Sprintf(", %d not published: node down or log full", p.skipped)
	}
	return text
}
