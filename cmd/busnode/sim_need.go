package main

import (
	"fmt"

	"github.com/dustin/go-humanize"
)

// What a simulated node keeps, in bytes: measured in live heaps of 2,000 to 8,000 nodes with 3 to 16
// links, 1 to 100 events and 1 to 100 authors of them, which these figures meet within a fifth.
const (
	needNode        = 7_400
	needLink        = 2_100
	needEvent       = 290
	needAuthorLink  = 300
	needRoundsNode  = 5_500
	needRoundsSlot  = 1_700 // for each partner of a cycle, and each hunted one
	needRoundsRumor = 300
)

// need returns about how many bytes one of the simulation's runs keeps in the end. What the collector
// leaves lying, and what is on its way, comes on top.
func (f *simFlags) need() uint64 {
	nodes, events, degree := uint64(f.nodes), uint64(f.events.n), uint64(min(f.degree, f.nodes-1))
	if f.rounds {
		return nodes * (needRoundsNode + needRoundsSlot*uint64(f.fanout+f.hunts) + needRoundsRumor*events)
	}
	authors := min(uint64(f.publishers.n), events)
	return nodes * (needNode + needLink*degree + needEvent*events + needAuthorLink*degree*authors)
}

// fits refuses a simulation that needs more memory than is free, before it has taken all of that. free is
// 0 where the system does not tell: then nothing is refused.
func (f *simFlags) fits(free uint64) error {
	if need := f.need(); free > 0 && need > free {
		return fmt.Errorf("%s need about %s of memory, and %s are free: take fewer nodes, events or links",
			f.what(), humanize.IBytes(need), humanize.IBytes(free))
	}
	return nil
}
