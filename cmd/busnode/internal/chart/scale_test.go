package chart

import (
	"math"
	"slices"
	"strings"
	"testing"
)

func labels(ticks []tick) string {
	var some []string
	for _, t := range ticks {
		if t.label != "" {
			some = append(some, strings.ReplaceAll(t.label, space, " "))
		}
	}
	return strings.Join(some, ", ")
}

func TestTicks(t *testing.T) {
	for _, c := range []struct {
		axis     Axis
		min, max float64
		n        float64
		want     string
	}{
		{Axis{}, 0, 10, 5, "0, 2, 4, 6, 8, 10"},
		{Axis{}, -1, 1, 4, "−1.0, −0.5, 0, 0.5, 1.0"},
		{Axis{}, 0, 50_000, 5, "0, 10k, 20k, 30k, 40k, 50k"},
		{Axis{}, 0, 3e-7, 3, "0, 10⁻⁷, 2·10⁻⁷, 3·10⁻⁷"},
		{Axis{}, 1000, 1004, 4, "1,000, 1,001, 1,002, 1,003, 1,004"},
		{Axis{}, 12345, 12345.02, 2, "12,345.00, 12,345.01, 12,345.02"},
		{Axis{}, 0, 2e-4, 4, "0, 5·10⁻⁵, 10⁻⁴, 1.5·10⁻⁴, 2·10⁻⁴"},
		{Axis{Unit: Count}, 0, 2, 8, "0, 1, 2"},
		{Axis{Unit: Share}, 0, 1, 5, "0 %, 20 %, 40 %, 60 %, 80 %, 100 %"},
		{Axis{Unit: Share}, 0, 0.002, 4, "0 %, 0.05 %, 0.10 %, 0.15 %, 0.20 %"},
		{Axis{Unit: Seconds}, 0, 0.45, 5, "0, 100 ms, 200 ms, 300 ms, 400 ms"},
		{Axis{Unit: Seconds}, 0, 2, 4, "0, 0.5 s, 1.0 s, 1.5 s, 2.0 s"},
		{Axis{Unit: Seconds}, 0, 180, 9, "0, 20 s, 40 s, 60 s, 80 s, 100 s, 120 s, 140 s, 160 s, 180 s"},
		{Axis{Unit: Seconds}, 0, 300, 5, "0, 1 min, 2 min, 3 min, 4 min, 5 min"},
		{Axis{Unit: Seconds}, 0, 200, 6, "0, 1 min, 2 min, 3 min"},
		{Axis{Unit: Seconds}, 0, 14400, 5, "0, 1 h, 2 h, 3 h, 4 h"},
		{Axis{Unit: Bytes}, 0, 3e6, 3, "0, 1 MB, 2 MB, 3 MB"},
		{Axis{Log: true}, 100, 1e6, 6, "100, 1k, 10k, 100k, 1M"},
		{Axis{Log: true}, 100, 1e6, 3, "100, 10k, 1M"},
		{Axis{Log: true}, 1, 50, 8, "1, 2, 5, 10, 20, 50"},
		{Axis{Log: true}, 3, 7, 4, "3, 4, 5, 6, 7"},
		{Axis{Log: true}, 1e-6, 1, 8, "10⁻⁶, 10⁻⁵, 10⁻⁴, 0.001, 0.01, 0.1, 1"},
		{Axis{Log: true, Unit: Share}, 1e-4, 1, 5, "0.01 %, 0.1 %, 1 %, 10 %, 100 %"},
		{Axis{Log: true, Unit: Seconds}, 1e-3, 10, 5, "1 ms, 10 ms, 100 ms, 1 s, 10 s"},
		{Axis{Log: true, Unit: Bytes}, 1, 1e6, 3, "1 B, 100 B, 10 kB, 1 MB"},
	} {
		s := &scale{Axis: c.axis, min: c.min, max: c.max, to: 100}
		ticks := s.ticks(c.n)
		if got := labels(ticks); got != c.want {
			t.Errorf("%+v from %g to %g: %s, want %s", c.axis, c.min, c.max, got, c.want)
		}
		if !slices.IsSortedFunc(ticks, func(a, b tick) int { return int(math.Copysign(1, a.at-b.at)) }) {
			t.Errorf("%+v: ticks are not ascending: %v", c.axis, ticks)
		}
	}
}

func TestLogAxesHaveMinorTicks(t *testing.T) {
	s := &scale{Axis: Axis{Log: true}, min: 1, max: 1000, to: 100}
	if got := len(s.ticks(4)); got != 28 { // 9 a decade, and the last
		t.Errorf("%d ticks, want 28", got)
	}
}

func TestAxesGoAroundTheirData(t *testing.T) {
	for _, c := range []struct {
		axis      Axis
		values    []float64
		fit       fit
		low, high float64
	}{
		{Axis{}, []float64{3, 9.5}, fit{}, 0, 10},
		{Axis{}, []float64{3, 9.5}, fit{tight: true}, 0, 9.5},
		{Axis{}, []float64{8, 9.5}, fit{tight: true}, 8, 9.5},
		{Axis{}, []float64{-3, 9}, fit{}, -5, 10},
		{Axis{}, []float64{0, 100}, fit{tight: true, pad: true}, 0, 103},
		{Axis{}, []float64{5}, fit{}, 0, 5},
		{Axis{}, []float64{0}, fit{}, 0, 1},
		{Axis{}, nil, fit{}, 0, 1},
		{Axis{}, []float64{-2, -1}, fit{zero: true}, -2, 0},
		{Axis{Unit: Share}, []float64{0.2, 0.93}, fit{}, 0, 1},
		{Axis{Min: 2, Max: 4}, []float64{0, 9}, fit{}, 2, 4},
		{Axis{Min: 4, Max: 2}, []float64{0, 9}, fit{}, 0, 10},
		{Axis{Log: true}, []float64{0.02, 800}, fit{}, 0.01, 1000},
		{Axis{Log: true}, []float64{3, 40}, fit{}, 2, 50},
		{Axis{Log: true}, []float64{100, 1e6}, fit{tight: true}, 100, 1e6},
		{Axis{Log: true}, []float64{0, -1, math.NaN()}, fit{}, 1, 10},
		{Axis{Log: true}, []float64{10}, fit{}, 5, 20},
		{Axis{Log: true, Max: 5}, []float64{2, 3}, fit{tight: true}, 2, 3},
	} {
		c.fit.ticks = 5
		s := newScale(c.axis, slices.Values(c.values), c.fit)
		if math.Abs(s.min-c.low) > 1e-9 || math.Abs(s.max-c.high) > 1e-6 {
			t.Errorf("%+v %v %+v: from %g to %g, want %g to %g", c.axis, c.values, c.fit, s.min, s.max, c.low, c.high)
		}
	}
}

func TestFormat(t *testing.T) {
	for _, c := range []struct {
		unit Unit
		v    float64
		want string
	}{
		{Number, 0, "0"},
		{Number, 1.0213, "1.02"},
		{Number, 0.0368, "0.0368"},
		{Number, 12345.6, "12,346"},
		{Number, -2.5, "−2.5"},
		{Number, 3.2e-5, "3.2·10⁻⁵"},
		{Number, 1e-9, "10⁻⁹"},
		{Number, 2.5e7, "25M"},
		{Number, 999.96, "1,000"},
		{Number, math.NaN(), "–"},
		{Number, math.Inf(-1), "–"},
		{Count, 7, "7"},
		{Count, 100_000, "100,000"},
		{Count, 1234, "1,234"},
		{Seconds, 0, "0 s"},
		{Seconds, 0.18349, "183 ms"},
		{Seconds, 42e-6, "42 µs"},
		{Seconds, 1.234, "1.23 s"},
		{Seconds, 100, "100 s"},
		{Seconds, 130, "2 min 10 s"},
		{Seconds, 600, "10 min"},
		{Seconds, 7260, "2 h 1 min"},
		{Bytes, 61.24, "61.2 B"},
		{Bytes, 1142, "1.14 kB"},
		{Bytes, 16e9, "16 GB"},
		{Share, 0, "0 %"},
		{Share, 1, "100 %"},
		{Share, 0.0368, "3.68 %"},
		{Share, 0.5, "50 %"},
		{Share, 0.99996, "> 99.99 %"},
		{Share, 0.9999999, "> 99.9999 %"},
		{Share, 1e-9, "10⁻⁷ %"},
		{Share, 1.05, "105 %"},
	} {
		if got := strings.ReplaceAll(Format(c.unit, c.v), space, " "); got != c.want {
			t.Errorf("Format(%d, %g) is %q, want %q", c.unit, c.v, got, c.want)
		}
	}
}
