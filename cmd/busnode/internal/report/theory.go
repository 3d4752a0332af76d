package report

import (
	"math"

	"github.com/busnode/busnode/cmd/busnode/internal/chart"
)

// TrafficLaw returns the law that residue follows traffic, with what was measured: the points' X is
// traffic, the updates sent a node, their Y the residue.
func TrafficLaw(residue func(traffic float64) float64, measured ...Series) Law {
	return Law{
		Title: "Residue against traffic", Formula: "s = e⁻ᵐ",
		X:        chart.Axis{Label: "m: updates sent a node", Unit: chart.Number},
		Y:        chart.Axis{Label: "s: residue", Unit: chart.Share, Log: true},
		Measured: measured,
		Curve:    curve(0, 1.05*furthest(measured, 1), residue),
	}
}

// CounterLaw returns the law that residue follows a counter's k, with what was measured: the points' X
// is k, their Y the residue.
func CounterLaw(residue func(k float64) float64, measured ...Series) Law {
	return Law{
		Title: "Residue against k", Formula: "s = e⁻⁽ᵏ⁺¹⁾⁽¹⁻ˢ⁾",
		X:        chart.Axis{Label: "k: useless contacts until a node loses interest", Unit: chart.Count},
		Y:        chart.Axis{Label: "s: residue", Unit: chart.Share, Log: true},
		Measured: measured,
		Curve:    curve(1, furthest(measured, 5), residue),
	}
}

// furthest returns the greatest X of the points, but for those that are out of all reason, or least.
func furthest(measured []Series, least float64) float64 {
	x := least
	for _, s := range measured {
		for _, p := range s.Points {
			if p.X <= 100 {
				x = max(x, p.X)
			}
		}
	}
	return x
}

// curve returns points of y from one x to another.
func curve(from, to float64, y func(float64) float64) []chart.Point {
	const steps = 60
	points := make([]chart.Point, 0, steps+1)
	for i := range steps + 1 {
		x := from + (to-from)*float64(i)/steps
		points = append(points, chart.Point{X: x, Y: y(x)})
	}
	return points
}

// Simple is the simple epidemic by pull in synchronous cycles with uniform partners.
type Simple struct {
	Nodes   int
	PushToo bool // push-pull
}

// Curve returns what is expected of the epidemic in each of so many cycles: a node stays susceptible
// whose partner is so too, and to whom nobody pushes. It begins with one infective node.
func (e Simple) Curve(cycles int) []State {
	s := 1 - 1/float64(e.Nodes)
	var course []State
	for cycle := range cycles {
		course = append(course, State{At: float64(cycle), Susceptible: s, Infective: 1 - s})
		missed := s * s
		if e.PushToo {
			missed *= math.Exp(-(1 - s))
		}
		s = missed
	}
	return course
}

// Push is rumor mongering by push in synchronous cycles with uniform partners,
// as Demers et al. count it.
type Push struct {
	Nodes int
	K     int  // at least 1
	Blind bool // no feedback
	Coin  bool // lose interest with probability 1/K; else after K
}

// Curve returns what is expected of the epidemic in each cycle until under one
// thousandth of a node is infective, or for cyclesMax cycles. It is the mean-field
// recursion: of the shares i of infective nodes each contacts one other, so that a
// susceptible one is missed by all of them with e^-i. It begins with one node, and
// knows nothing of chance: of an epidemic's early luck, or its end.
func (p Push) Curve(cyclesMax int) []State {
	k := max(p.K, 1)
	one := 1 / float64(max(p.Nodes, 2))
	s := 1 - one
	stages := make([]float64, k) // infective nodes by their counters
	stages[0] = one
	var course []State
	for cycle := 0; ; cycle++ {
		infective := 0.0
		for _, share := range stages {
			infective += share
		}
		course = append(course, State{
			At: float64(cycle), Susceptible: s, Infective: infective,
			Removed: max(0, 1-s-infective),
		})
		if infective < one/1000 || cycle >= cyclesMax {
			return course
		}
		missed := s * math.Exp(-infective)
		p.loseInterest(stages, s)
		stages[0] += s - missed
		s = missed
	}
}

// loseInterest moves the infective nodes by one cycle in which a contact is
// useful with probability s.
func (p Push) loseInterest(stages []float64, s float64) {
	k := float64(len(stages))
	if p.Coin {
		useless := 1 - s
		if p.Blind {
			useless = 1
		}
		stages[0] *= 1 - useless/k
		return
	}
	useful := 0.0
	for j := len(stages) - 1; j >= 0; j-- {
		share := stages[j]
		stages[j] = 0
		moves := share
		if !p.Blind {
			useful += share * s // the counter goes back to 0
			moves -= share * s
		}
		if j+1 < len(stages) {
			stages[j+1] = moves
		}
	}
	stages[0] = useful
}
