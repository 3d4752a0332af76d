package sim

import "math"

// Fit is a law y = A + B·f(x) that was fitted to points by least squares.
type Fit struct {
	Law string // as people write it: "a + b·ln n"
	A   float64
	B   float64
	R2  float64 // share of the variance that the law explains
}

// FitLog fits y = a + b·ln x. The xs are above 0, and there are at least two of them that differ;
// otherwise all is NaN.
func FitLog(xs, ys []float64) Fit {
	f := make([]float64, len(xs))
	for i, x := range xs {
		f[i] = math.Log(x)
	}
	return fit("a + b·ln x", f, ys)
}

// FitLine fits y = a + b·x.
func FitLine(xs, ys []float64) Fit { return fit("a + b·x", xs, ys) }

func fit(law string, xs, ys []float64) Fit {
	n := float64(len(xs))
	var mx, my float64
	for i := range xs {
		mx += xs[i] / n
		my += ys[i] / n
	}
	var xx, xy, yy float64
	for i := range xs {
		xx += (xs[i] - mx) * (xs[i] - mx)
		xy += (xs[i] - mx) * (ys[i] - my)
		yy += (ys[i] - my) * (ys[i] - my)
	}
	b := xy / xx
	r2 := 1.0 // all ys are alike, and the law says so
	if yy > 0 {
		r2 = xy * xy / (xx * yy)
	}
	return Fit{Law: law, A: my - b*mx, B: b, R2: r2}
}

// ResidueOfTraffic is the law of all kinds of push: a node is missed by each of
// the n·m sends with chance 1-1/n, so s = e^-m (Demers et al., section 1.4).
func ResidueOfTraffic(m float64) float64 { return math.Exp(-m) }

// ResidueOfCounter returns the s between 0 and 1 that solves s = e^-(k+1)(1-s): what push
// with feedback and a counter of k leaves (Demers et al., section 1.4).
func ResidueOfCounter(k float64) float64 {
	s := 0.0 // the fixed point below 1 attracts from below
	for range 1000 {
		s = math.Exp(-(k + 1) * (1 - s))
	}
	return s
}
