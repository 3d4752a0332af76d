package report

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/busnode/busnode/cmd/busnode/internal/chart"
)

func near(t *testing.T, what string, got, want, part float64) {
	t.Helper()
	if !(math.Abs(got-want) <= part*math.Abs(want)) {
		t.Errorf("%s is %.5g, want %.5g within %g %%", what, got, want, part*100)
	}
}

// The residues of Tables 1 and 2 of Demers et al. 1987, as independent
// simulations of 1,000 nodes reproduce them.
func TestPaperTheCurveEndsAtTheResidueOfTheTables(t *testing.T) {
	for k, want := range map[int]float64{1: 0.175, 2: 0.0368, 3: 0.0107, 4: 0.0035} {
		course := Push{Nodes: 1000, K: k}.Curve(200)
		near(t, fmt.Sprintf("table 1, k = %d", k), course[len(course)-1].Susceptible, want, 0.15)
	}
	for k, want := range map[int]float64{2: 0.203, 3: 0.060, 4: 0.0198} {
		course := Push{Nodes: 1000, K: k, Blind: true, Coin: true}.Curve(200)
		near(t, fmt.Sprintf("table 2, k = %d", k), course[len(course)-1].Susceptible, want, 0.15)
	}
}

func TestTheCurveFollowsASimulation(t *testing.T) {
	const n, runs = 20_000, 3
	r := rand.New(rand.NewPCG(1, 2))
	course := Push{Nodes: n, K: 3}.Curve(100)
	for range runs {
		measured, _, _ := monger(r, n, 3)
		// Early luck moves a run by a cycle or so: compare where half are reached.
		half := func(states []State) float64 {
			for i, s := range states {
				if s.Susceptible < 0.5 {
					before := states[i-1]
					return before.At + (before.Susceptible-0.5)/(before.Susceptible-s.Susceptible)
				}
			}
			return math.NaN()
		}
		if d := math.Abs(half(measured) - half(course)); !(d < 1.5) {
			t.Errorf("half are reached %.1f cycles apart", d)
		}
	}
	for _, s := range course {
		if sum := s.Susceptible + s.Infective + s.Removed; math.Abs(sum-1) > 1e-9 || s.Infective < 0 {
			t.Fatalf("shares of cycle %g: %+v", s.At, s)
		}
	}
}

// Pull squares the susceptible share each cycle (Demers et al. 1987, section 1.3), and in the beginning
// doubles those who know; push-pull trebles them, and is never behind.
func TestTheSimpleEpidemicsCourse(t *testing.T) {
	pull, both := Simple{Nodes: 1000}.Curve(30), Simple{Nodes: 1000, PushToo: true}.Curve(30)
	near(t, "at first", pull[0].Infective, 1e-3, 1e-9)
	near(t, "after a cycle of pull", pull[1].Infective, 2e-3, 0.01)
	near(t, "after a cycle of push-pull", both[1].Infective, 3e-3, 0.01)
	for i := range pull[1:] {
		near(t, "pull", pull[i+1].Susceptible, pull[i].Susceptible*pull[i].Susceptible, 1e-9)
		if both[i+1].Susceptible > pull[i+1].Susceptible {
			t.Errorf("cycle %d: push-pull leaves %g, pull %g", i+1, both[i+1].Susceptible, pull[i+1].Susceptible)
		}
	}
}

func TestBlindCounterSendsKTimes(t *testing.T) {
	course := Push{Nodes: 1 << 20, K: 2, Blind: true}.Curve(1)
	if len(course) != 2 || course[1].Infective < 1.9/(1<<20) {
		t.Fatalf("after one of two sends the first node is not infective: %+v", course)
	}
	course = Push{Nodes: 1 << 20, K: 1, Blind: true}.Curve(1)
	if got := course[1].Infective * (1 << 20); math.Abs(got-1) > 1e-3 {
		t.Fatalf("after its only send the first node is infective still: %g nodes", got)
	}
}

func TestAFittedLawIsDrawnAndTold(t *testing.T) {
	for want, fit := range map[string]Fit{
		"y = 3 + 2·ln n, R² = 1.0000": {A: 3, B: 2, R2: 1},
		"y = 1 − 2·ln n, R² = 0.5000": {A: 1, B: -2, R2: 0.5},
		"y = 1 + 2·ln n, R² = –":      {A: 1, B: 2, R2: math.NaN()},
	} {
		if got := fit.String(); got != want {
			t.Errorf("the law is %q, want %q", got, want)
		}
	}
	s := Scaling{Points: []ScalingPoint{{Nodes: 10, Value: 5}, {Nodes: 1000, Value: 9}}, Fit: &Fit{A: 3, B: 2, R2: 1}}
	series := s.Plot().Series
	law := series[len(series)-1].Points
	near(t, "the law at 10", law[0].Y, 3+2*math.Log(10), 1e-9)
	near(t, "the law at 1,000", law[len(law)-1].Y, 3+2*math.Log(1000), 1e-9)
}

func TestLatencyCountsEachSampleOnce(t *testing.T) {
	for name, samples := range map[string][]float64{
		"even":      {0.05, 0.1, 0.1, 0.15, 0.15, 0.15, 0.2},
		"zero":      {0, 0, 0},
		"one":       {0.3},
		"bad":       {math.NaN(), -1, math.Inf(1), 0.2},
		"long tail": append(make1000(0.05, 0.09), 30),
	} {
		l := NewLatency(samples)
		sum := 0
		for i, b := range l.Bins {
			sum += b.Count
			if b.To <= b.From || i > 0 && math.Abs(b.From-l.Bins[i-1].To) > 1e-9 {
				t.Errorf("%s: bin %d is %+v", name, i, b)
			}
		}
		if sum != l.Samples || len(l.Bins) > binsMax+1 || l.Long != (name == "long tail") {
			t.Errorf("%s: %d of %d samples in %d bins, long %t", name, sum, l.Samples, len(l.Bins), l.Long)
		}
	}
	if NewLatency([]float64{math.NaN()}) != nil {
		t.Error("no sample has a distribution")
	}
	l := NewLatency(make1000(0, 0.999))
	near(t, "p50", l.P50, 0.499, 1e-9)
	near(t, "p99", l.P99, 0.989, 1e-9)
	near(t, "max", l.Max, 0.999, 1e-9)
}

// A multiple of the links' delay belongs to the bin that it begins.
func TestLatencyBinsBeginAtRoundNumbers(t *testing.T) {
	var samples []float64
	for i := range 60 {
		samples = append(samples, float64(i)*0.05)
	}
	for _, b := range NewLatency(samples).Bins {
		if b.Count != 1 {
			t.Fatalf("the bin from %g has %d samples, want 1 in each", b.From, b.Count)
		}
	}
}

func make1000(from, to float64) []float64 {
	samples := make([]float64, 1000)
	for i := range samples {
		samples[i] = from + (to-from)*float64(i)/999
	}
	return samples
}

// falls is a law of a kind.
func falls(x float64) float64 { return math.Exp(-x) }

func TestLawsGoThroughTheMeasuredPoints(t *testing.T) {
	laws := []Law{
		TrafficLaw(falls, Series{"far", []chart.Point{{X: 20, Y: 1e-8}, {X: 1e9}}}),
		CounterLaw(falls, Series{"far", []chart.Point{{X: 9, Y: 1e-4}, {X: 1e9}}}),
	}
	for i, last := range []float64{21, 9} {
		curve := laws[i].Curve
		near(t, "the curve's end", curve[len(curve)-1].X, last, 1e-9)
		near(t, "the law at its end", curve[len(curve)-1].Y, falls(last), 1e-9)
		if len(curve) > pointsMax {
			t.Errorf("%d points", len(curve))
		}
	}
}
