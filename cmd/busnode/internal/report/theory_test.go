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

// Demers et al. 1987, section 1.4: «at k=1 this formula suggests that 20% will
// miss the rumor, while at k=2 only 6% will miss it».
func TestPaperResidueByCounter(t *testing.T) {
	near(t, "the residue at k = 1", ResidueByCounter(1), 0.20, 0.02)
	near(t, "the residue at k = 2", ResidueByCounter(2), 0.06, 0.02)
	for k := 1.0; k < 8; k++ {
		s := ResidueByCounter(k)
		near(t, "the root", math.Exp(-(k+1)*(1-s)), s, 1e-9)
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

func TestFitLog(t *testing.T) {
	points := []ScalingPoint{{Nodes: 2, Value: 5}, {Nodes: 8, Value: 9}, {Nodes: 32, Value: 13}, {Nodes: math.NaN()}, {}}
	f := FitLog(points)
	near(t, "a", f.A, 3, 1e-9)
	near(t, "b", f.B, 2, 1e-9)
	near(t, "R²", f.R2, 1, 1e-9)
	if got, want := f.String(), "y = 3 + 2·log₂ n, R² = 1.0000"; got != want {
		t.Errorf("the law is %q, want %q", got, want)
	}
	near(t, "the law at 128", f.at(128), 17, 1e-9)
	if FitLog(points[:1]) != nil || FitLog([]ScalingPoint{{Nodes: 2, Value: 1}, {Nodes: 2, Value: 3}}) != nil {
		t.Error("one number of nodes has a law")
	}
	noisy := FitLog([]ScalingPoint{{Nodes: 2, Value: 1}, {Nodes: 4, Value: 3}, {Nodes: 8, Value: 2}})
	near(t, "R² of noise", noisy.R2, 0.25, 1e-9)
	for base, name := range map[float64]string{0: "ln n", 10: "log₁₀ n", 3: "log n to 3"} {
		if got, want := (Fit{base, 1, -2, 0.5}).String(), "y = 1 − 2·"+name+", R² = 0.5000"; got != want {
			t.Errorf("the law is %q, want %q", got, want)
		}
	}
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

func TestLawsGoThroughTheMeasuredPoints(t *testing.T) {
	laws := []Law{
		TrafficLaw(Series{"far", []chart.Point{{X: 20, Y: 1e-8}, {X: 1e9}}}),
		CounterLaw(Series{"far", []chart.Point{{X: 9, Y: 1e-4}, {X: 1e9}}}),
	}
	for i, last := range []float64{21, 9} {
		curve := laws[i].Curve
		near(t, "the curve's end", curve[len(curve)-1].X, last, 1e-9)
		if len(curve) > pointsMax {
			t.Errorf("%d points", len(curve))
		}
	}
}
