package sim

import (
	"fmt"
	"strconv"
	"time"
)

// expectUsage says what may be expected.
const expectUsage = "held NODES [within D] | well [within D] | delivered NODES within D | order | promises | " +
	"quiet D | copies|repaired|gaps|late|exchanges|disconnects|hops <=|=|>= X"

func parseExpect(_ *Scenario, a *args) action {
	what := a.oneOf("what is expected", "held", "well", "delivered", "order", "promises", "quiet",
		"copies", "repaired", "gaps", "late", "exchanges", "disconnects", "hops")
	switch what {
	case "held":
		some := a.some()
		return eventually(within(a), func(p *play) error { return p.held(some) })
	case "well":
		return eventually(within(a), func(p *play) error { return p.sim.amiss() })
	case "delivered":
		some := a.some()
		if !a.has("within") {
			a.fail("«within» and a time are missing")
		}
		d := a.duration("the time")
		return func(p *play) (string, error) { return p.delivered(some, d) }
	case "order":
		return func(p *play) (string, error) { return "so it is", p.broken(false) }
	case "promises":
		return func(p *play) (string, error) { return "so it is", p.broken(true) }
	case "quiet":
		d := a.duration("how long")
		return func(p *play) (string, error) {
			p.bounded.Quiet()
			p.sim.RunUntil(d, p.ended)
			p.bounded.quiet = false
			return "so it is", p.bounded.Err()
		}
	}
	return parseFigure(what, a)
}

func within(a *args) time.Duration {
	if !a.has("within") {
		return 0
	}
	return a.duration("the time")
}

// eventually is an expectation that may take some time to come true.
func eventually(d time.Duration, is func(*play) error) action {
	return func(p *play) (string, error) {
		begin := p.sim.Now()
		if err := p.sim.until(d, func() error { return is(p) }, p.ended); err != nil {
			return "", err
		}
		if took := p.sim.Now() - begin; took > 0 {
			return fmt.Sprintf("so it is after %v", took), nil
		}
		return "so it is", nil
	}
}

// held says who lacks what of all that was published, on topics that it reads,
// or nil. What it trimmed itself is no lack.
func (p *play) held(some []int) error {
	s := p.sim
	lacking, first := 0, ""
	for _, i := range some {
		n := s.nodes[i]
		if !n.Up() {
			continue
		}
		for b := range s.store.batches {
			h := &s.store.batches[b].Batch.Header
			if !n.wants(h.Topic) || n.holds(b) || h.End().Compare(n.trimmedUpto(h.Topic, h.Author)) <= 0 {
				continue
			}
			if lacking++; first == "" {
				first = fmt.Sprintf("node %d lacks %s", i, s.spot(b))
			}
		}
	}
	if lacking == 0 {
		return nil
	}
	return fmt.Errorf("%s; %d such lacks in all", first, lacking)
}

// delivered looks how long it took until readers could read what was published
// since the last measure.
func (p *play) delivered(some []int, limit time.Duration) (string, error) {
	s := p.sim
	var longest time.Duration
	for _, i := range some {
		n := s.nodes[i]
		if !n.Up() {
			continue
		}
		for b := p.first; b < len(s.store.batches); b++ {
			pub := &s.store.batches[b]
			if pub.Author == i || !n.wants(pub.Batch.Header.Topic) {
				continue
			}
			a := n.Arrival(b)
			if !a.IsReleased() {
				return "", fmt.Errorf("node %d cannot read %s, published %v ago", i, s.spot(b), time.Duration(s.now-pub.At))
			}
			took := time.Duration(a.Released - pub.At)
			if longest = max(longest, took); took > limit {
				return "", fmt.Errorf("node %d could read %s after %v", i, s.spot(b), took)
			}
		}
	}
	return fmt.Sprintf("the last after %v", longest.Round(time.Millisecond)), nil
}

// broken returns what the checkers found: those of what readers are shown, or all
// of them, at the end.
func (p *play) broken(all bool) error {
	for _, c := range p.checkers {
		switch c.(type) {
		case *OrderChecker, *OnceChecker:
		case *HonestChecker:
			if !all || p.sim.params.Encode {
				continue // a peer whose frames come damaged does not look honest
			}
		default:
			if !all {
				continue
			}
		}
		if all {
			c.End(p.sim)
		}
		if err := c.Err(); err != nil {
			return err
		}
	}
	return nil
}

// figures are what an expectation may compare with a number; since the last measure, if the name does
// not speak of the whole run.
var figures = []struct {
	name string
	of   func(*play) float64
}{
	{"copies", func(p *play) float64 { // of a batch, that reached a node that came to read it
		t := p.sim.Tally()
		return ratio(t.Copies-p.base.Copies, t.Releases-p.base.Releases)
	}},
	{"repaired", func(p *play) float64 { // share of copies that answered a want
		t := p.sim.Tally()
		return ratio(t.Repairs-p.base.Repairs, t.Copies-p.base.Copies)
	}},
	{"exchanges", func(p *play) float64 {
		t := p.sim.Tally()
		return float64(opens(&t) - opens(&p.base))
	}},
	{"disconnects", func(p *play) float64 { return float64(p.sim.Tally().Disconnects - p.base.Disconnects) }},
	{"gaps", func(p *play) float64 { // that readers of nodes that are up were told, in the whole run
		n := 0
		for _, x := range p.sim.nodes {
			if x.Up() {
				n += len(x.Gaps())
			}
		}
		return float64(n)
	}},
	{"late", func(p *play) float64 { // batches at nodes that are up, in the whole run
		n := 0
		p.arrivals(0, func(a *Arrival) {
			if a.state&late != 0 {
				n++
			}
		})
		return float64(n)
	}},
	{"hops", func(p *play) float64 { // the longest way
		n := 0
		p.arrivals(p.first, func(a *Arrival) { n = max(n, int(a.Hops)) })
		return float64(n)
	}},
}

func ratio(x, y uint64) float64 {
	if y == 0 {
		return 0
	}
	return float64(x) / float64(y)
}

func opens(t *Tally) uint64 {
	for i := range t.Kinds {
		if t.Kinds[i].Kind == "open" {
			return t.Kinds[i].Messages
		}
	}
	return 0
}

// arrivals calls do for all that came to nodes that are up, from a batch on.
func (p *play) arrivals(first int, do func(*Arrival)) {
	for _, n := range p.sim.nodes {
		if !n.Up() {
			continue
		}
		for i := first; i < len(n.log.arrivals); i++ {
			do(&n.log.arrivals[i])
		}
	}
}

func parseFigure(what string, a *args) action {
	op := a.oneOf("the comparison", "<=", "=", ">=")
	want := 0.0
	if what == "repaired" {
		want = a.share()
	} else {
		want = a.number("the number")
	}
	for i := range figures {
		f := &figures[i]
		if f.name != what {
			continue
		}
		return func(p *play) (string, error) {
			got := f.of(p)
			text := strconv.FormatFloat(got, 'g', 4, 64)
			if op == "<=" && got <= want || op == "=" && got == want || op == ">=" && got >= want {
				return text, nil
			}
			return "", fmt.Errorf("%s", text)
		}
	}
	a.fail("there is no figure %q", what)
	return nil
}
