package sim

import (
	"math"
	"testing"
	"time"
)

func near(a, b, within float64) bool { return math.Abs(a-b) <= within }

func TestFitFindsTheLawThatPointsLieOn(t *testing.T) {
	xs := []float64{100, 1000, 10_000, 100_000}
	logs, line := make([]float64, len(xs)), make([]float64, len(xs))
	for i, x := range xs {
		logs[i], line[i] = 3+1.5*math.Log(x), 7-0.25*x
	}
	if f := FitLog(xs, logs); !near(f.A, 3, 1e-9) || !near(f.B, 1.5, 1e-9) || !near(f.R2, 1, 1e-9) {
		t.Errorf("logarithmic law %+v, want 3 + 1.5·ln x", f)
	}
	if f := FitLine(xs, line); !near(f.A, 7, 1e-6) || !near(f.B, -0.25, 1e-9) || !near(f.R2, 1, 1e-9) {
		t.Errorf("line %+v, want 7 - 0.25·x", f)
	}
}

func TestFitTellsHowMuchItExplains(t *testing.T) {
	// Of the line through these, y = 1 + x/2 by hand: the residuals' squares are 0.5, the ys' 1.
	f := FitLine([]float64{0, 1, 2}, []float64{1, 2, 2})
	if !near(f.A, 7.0/6, 1e-12) || !near(f.B, 0.5, 1e-12) || !near(f.R2, 0.75, 1e-12) {
		t.Errorf("%+v, want 7/6 + x/2 with R² 0.75", f)
	}
	if f := FitLine([]float64{1, 2, 3}, []float64{4, 4, 4}); f.A != 4 || f.B != 0 || f.R2 != 1 {
		t.Errorf("points on a level: %+v, want 4 + 0·x with R² 1", f)
	}
	if f := FitLog([]float64{5, 5}, []float64{1, 2}); !math.IsNaN(f.A) || !math.IsNaN(f.B) {
		t.Errorf("one x alone: %+v, want NaN", f)
	}
}

// TestResidueOfCounter checks the law with the figures that Demers et al. tell of it (section
// 1.4): «at k=1 this formula suggests that 20% will miss the rumor, while at k=2 only 6% will».
func TestResidueOfCounter(t *testing.T) {
	for k, want := range map[float64]float64{1: 0.20, 2: 0.06} {
		if s := ResidueOfCounter(k); !near(s, want, 0.005) {
			t.Errorf("k = %g: residue %g, want %g", k, s, want)
		}
	}
	for k := 1.0; k <= 5; k++ {
		if s := ResidueOfCounter(k); s <= 0 || s >= 1 || !near(s, math.Exp(-(k+1)*(1-s)), 1e-12) {
			t.Errorf("k = %g: %g does not solve s = e^-(k+1)(1-s) below 1", k, s)
		}
	}
	if s := ResidueOfTraffic(3.3); !near(s, 0.0369, 1e-4) {
		t.Errorf("residue of a traffic of 3.3: %g, want 0.0369", s)
	}
}

func TestQuantile(t *testing.T) {
	four := []time.Duration{10, 20, 30, 40}
	for _, c := range []struct {
		sorted []time.Duration
		q      float64
		want   time.Duration
	}{
		{nil, 0.5, 0},
		{[]time.Duration{7}, 0.99, 7},
		{four, 0, 10},
		{four, 0.25, 10},
		{four, 0.26, 20},
		{four, 0.5, 20},
		{four, 0.99, 40},
		{four, 1, 40},
	} {
		if got := Quantile(c.sorted, c.q); got != c.want {
			t.Errorf("quantile %g of %v: %d, want %d", c.q, c.sorted, got, c.want)
		}
	}
}

func TestSumCurvesKeepsTheEndOfTheShorter(t *testing.T) {
	long := []Sample{{0, 9, 1, 0}, {1, 5, 5, 0}, {2, 0, 0, 10}}
	short := []Sample{{0, 9, 1, 0}, {1, 9, 0, 1}}
	want := []Sample{{0, 18, 2, 0}, {1, 14, 5, 1}, {2, 9, 0, 11}}
	for _, sum := range [][]Sample{SumCurves(long, short), SumCurves(short, long)} {
		for i := range want {
			if sum[i] != want[i] {
				t.Errorf("sample %d: %+v, want %+v", i, sum[i], want[i])
			}
		}
	}
	if sum := SumCurves(nil, long); len(sum) != 3 || sum[1] != long[1] {
		t.Errorf("with nothing: %v, want %v", sum, long)
	}
}
