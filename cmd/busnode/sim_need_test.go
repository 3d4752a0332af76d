package main

import (
	"math"
	"runtime"
	"strings"
	"testing"
)

// liveHeap returns what is reachable.
func liveHeap() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// The estimate is of what the present cores take: at the last word of its progress a run is whole.
func TestNeedIsWhatASimulationTakes(t *testing.T) {
	for _, line := range []string{
		"--nodes 400 --degree 8 --events 1",
		"--nodes 400 --degree 4 --events 60 --publishers 10",
		"--nodes 2000 --rounds",
	} {
		f := settledFlags(t, line)
		before, most := liveHeap(), 0.0
		last := 0.0
		tell := func(share float64) bool {
			if share >= last+0.2 || share == 1 && last < 1 {
				last = share
				most = max(most, liveHeap()-before)
			}
			return true
		}
		if f.rounds {
			f.newRounds().Run(0, tell)
		} else {
			f.experiment().Run(0, tell)
		}
		if off := math.Abs(most/float64(f.need()) - 1); off > 0.35 {
			t.Errorf("%s: a node takes %.0f bytes, the estimate is %.0f", line, most/float64(f.nodes),
				float64(f.need())/float64(f.nodes))
		}
	}
}

func TestWhatDoesNotFitIsRefused(t *testing.T) {
	f := settledFlags(t, "--nodes 10000000 --events 1")
	err := f.fits(16 << 30)
	if err == nil || !strings.Contains(err.Error(), "10,000,000 nodes need about 2") {
		t.Errorf("refused with %v, want one that tells nodes and need", err)
	}
	if err := f.fits(1 << 40); err != nil {
		t.Errorf("refused with 1 TiB free: %v", err)
	}
	if err := f.fits(0); err != nil {
		t.Errorf("refused where nobody knows what is free: %v", err)
	}
}
