package report

import (
	"math"

	"github.com/busnode/busnode/cmd/busnode/internal/chart"
)

// ResidueByTraffic returns the residue that a push variant leaves which sends m
// updates a node: s = e^-m (Demers et al. 1987, section 1.4).
func ResidueByTraffic(m float64) float64 { return math.Exp(-m) }

// ResidueByCounter returns the residue of rumor mongering that loses interest
// after k useless contacts: the root below 1 of s = e^-(k+1)(1-s).
func ResidueByCounter(k float64) float64 {
	s := 0.0
	for range 10_000 { // converges by a factor of (k+1)s each, which is below 1
		next := math.Exp(-(k + 1) * (1 - s))
		if math.Abs(next-s) < 1e-15 {
			return next
		}
		s = next
	}
	return s
}

// TrafficLaw returns the law of ResidueByTraffic. The points' X is traffic, the
// updates sent a node, their Y the residue.
func TrafficLaw(measured ...Series) Law {
	law := Law{
		Title: "Residue against traffic", Formula: "s = e⁻ᵐ",
		X:        chart.Axis{Label: "m: updates sent a node", Unit: chart.Number},
		Y:        chart.Axis{Label: "s: residue", Unit: chart.Share, Log: true},
		Measured: measured,
	}
	longest := 1.0
	for _, s := range measured {
		for _, p := range s.Points {
			if p.X <= 100 {
				longest = max(longest, p.X)
			}
		}
	}
	for i := range 61 {
		m := longest * 1.05 * float64(i) / 60
		law.Curve = append(law.Curve, chart.Point{X: m, Y: ResidueByTraffic(m)})
	}
	return law
}

// CounterLaw returns the law of ResidueByCounter. The points' X is k, their Y
// the residue.
func CounterLaw(measured ...Series) Law {
	law := Law{
		Title: "Residue against k", Formula: "s = e⁻⁽ᵏ⁺¹⁾⁽¹⁻ˢ⁾",
		X:        chart.Axis{Label: "k: useless contacts until a node loses interest", Unit: chart.Count},
		Y:        chart.Axis{Label: "s: residue", Unit: chart.Share, Log: true},
		Measured: measured,
	}
	longest := 5.0
	for _, s := range measured {
		for _, p := range s.Points {
			if p.X <= 100 {
				longest = max(longest, p.X)
			}
		}
	}
	for i := range 61 {
		k := 1 + (longest-1)*float64(i)/60
		law.Curve = append(law.Curve, chart.Point{X: k, Y: ResidueByCounter(k)})
	}
	return law
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

// FitLog fits y = A + B·log2 n to the points by least squares. It is nil for
// under two numbers of nodes.
func FitLog(points []ScalingPoint) *Fit {
	var n, sx, sy float64
	for _, p := range points {
		if usable(p) {
			n, sx, sy = n+1, sx+math.Log2(p.Nodes), sy+p.Value
		}
	}
	var xx, xy, yy float64
	for _, p := range points {
		if usable(p) {
			dx, dy := math.Log2(p.Nodes)-sx/n, p.Value-sy/n
			xx, xy, yy = xx+dx*dx, xy+dx*dy, yy+dy*dy
		}
	}
	if n < 2 || xx == 0 {
		return nil
	}
	f := &Fit{Base: 2, B: xy / xx, R2: 1}
	f.A = sy/n - f.B*sx/n
	if yy > 0 {
		f.R2 = xy * xy / (xx * yy)
	}
	return f
}

func usable(p ScalingPoint) bool {
	return p.Nodes > 0 && !math.IsInf(p.Nodes, 0) && !math.IsNaN(p.Value) && !math.IsInf(p.Value, 0)
}

// at returns the law's value for n nodes.
func (f Fit) at(n float64) float64 {
	if f.Base > 1 {
		return f.A + f.B*math.Log(n)/math.Log(f.Base)
	}
	return f.A + f.B*math.Log(n)
}
