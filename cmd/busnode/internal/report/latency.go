package report

import (
	"math"
	"slices"
)

// binsMax bounds the bars of a histogram.
const binsMax = 60

// longTail is how far beyond the 99th percentile the longest latency may lie on a
// linear axis: beyond that the bulk would be squeezed into a few bars.
const longTail = 4

// NewLatency makes the distribution of latencies in seconds. What is negative or
// no number is left out. The percentiles are samples: the smallest that at least
// so many do not exceed. The slice is left as it is.
func NewLatency(seconds []float64) *Latency {
	sorted := slices.DeleteFunc(slices.Clone(seconds), func(v float64) bool {
		return math.IsNaN(v) || math.IsInf(v, 0) || v < 0
	})
	if len(sorted) == 0 {
		return nil
	}
	slices.Sort(sorted)
	l := &Latency{Samples: len(sorted), Max: sorted[len(sorted)-1]}
	l.P50, l.P99 = percentile(sorted, 0.50), percentile(sorted, 0.99)
	if l.Long = sorted[0] > 0 && l.Max > longTail*l.P99; l.Long {
		l.Bins = geometric(sorted)
	} else {
		l.Bins = even(sorted)
	}
	return l
}

// even counts in bins of one width. Ends that rounding moved by a hair belong to
// the bin that they begin: latencies are often multiples of a link's delay.
func even(sorted []float64) []Bin {
	width := binWidth(sorted[len(sorted)-1])
	var bins []Bin
	for _, v := range sorted {
		i := int(v/width + 1e-9)
		for len(bins) <= i {
			from := float64(len(bins)) * width
			bins = append(bins, Bin{From: from, To: from + width})
		}
		bins[i].Count++
	}
	return bins
}

// geometric counts in bins that grow by one factor, twenty to a factor of ten or
// fewer, so that a long tail leaves room for the rest.
func geometric(sorted []float64) []Bin {
	least, most := sorted[0], sorted[len(sorted)-1]
	factor := max(math.Pow(10, 0.05), math.Pow(most/least, 1.0/(binsMax-1)))
	var bins []Bin
	for _, v := range sorted {
		i := int(math.Log(v/least)/math.Log(factor) + 1e-9)
		for len(bins) <= i {
			from := least * math.Pow(factor, float64(len(bins)))
			bins = append(bins, Bin{From: from, To: from * factor})
		}
		bins[i].Count++
	}
	return bins
}

func percentile(sorted []float64, share float64) float64 {
	return sorted[max(0, int(math.Ceil(share*float64(len(sorted))))-1)]
}

// binWidth returns the least of 1, 2 or 5 times a power of ten that covers
// longest in binsMax bins.
func binWidth(longest float64) float64 {
	if longest <= 0 {
		return 1e-3
	}
	decade := math.Pow(10, math.Floor(math.Log10(longest/binsMax)))
	for _, m := range []float64{1, 2, 5} {
		if m*decade*(binsMax-1) >= longest {
			return m * decade
		}
	}
	return 10 * decade
}
