package sim

import (
	"fmt"
	"time"

	"github.com/busnode/busnode/gossip"
)

// PaperRow is a row of one of the tables of Demers et al. (PODC 1987), section 1.4,
// and the experiment that reproduces it.
type PaperRow struct {
	K          int
	Rounds     Rounds
	Paper      Figures // as printed
	Reproduced Figures // by an independent small simulation, 2,000 runs; zero where there is none
}

// paperNodes is how many sites the papers' tables are about.
const paperNodes = 1000

// rumorsPerNetwork is how many rumors share a network of 1,000 nodes, one after the other: to make
// one takes as long as some rumors do.
const rumorsPerNetwork = 50

// PaperTable returns the rows of Table 1 (push, feedback, counter), 2 (push, blind, coin) or 3
// (pull, feedback, counter), for k from 1 to 5. The error wraps [ErrParams].
//
// What the tables leave open is settled by what reproduces them: a site that is
// infected in a cycle acts from the next on; that «the recipient already knew» is
// judged by the state at the beginning of the cycle; a useful contact sets the counter
// back to 0; averages are over all runs, also those in which the rumor died at once. The mean arrival is the mean of
// the cycles of first arrivals, which for Tables 1 and 2 is 1 to 3 cycles less
// than the paper's t_ave, whose definition is not given.
func PaperTable(table int) ([]PaperRow, error) {
	m := gossip.Mongering{Fanout: 1, Interval: 100 * time.Millisecond}
	var paper, again [5]Figures
	switch table {
	case 1:
		m.Mode = gossip.Push
		paper = [5]Figures{
			{0.18, 1.7, 11.0, 16.8, 0},
			{0.037, 3.3, 12.1, 16.9, 0},
			{0.011, 4.5, 12.5, 17.4, 0},
			{0.0036, 5.6, 12.7, 17.5, 0},
			{0.0012, 6.7, 12.8, 17.7, 0},
		}
		again = [5]Figures{
			{0.175, 1.74, 0, 16.8, 0},
			{0.0368, 3.30, 0, 17.0, 0},
			{0.0107, 4.53, 0, 17.3, 0},
			{0.0035, 5.64, 0, 17.6, 0},
			{0.0013, 6.68, 0, 17.8, 0},
		}
	case 2:
		m.Mode, m.Blind, m.Coin = gossip.Push, true, true
		paper = [5]Figures{
			{0.96, 0.04, 19, 38, 0},
			{0.20, 1.6, 17, 33, 0},
			{0.060, 2.8, 15, 32, 0},
			{0.021, 3.9, 14.1, 32, 0},
			{0.008, 4.9, 13.8, 32, 0},
		}
		again = [5]Figures{
			{0.959, 0.041, 0, 39.8, 0},
			{0.203, 1.59, 0, 32.7, 0},
			{0.060, 2.82, 0, 31.6, 0},
			{0.0198, 3.92, 0, 32.3, 0},
			{0.0070, 4.97, 0, 32.4, 0},
		}
	case 3:
		m.Mode = gossip.Pull
		paper[0] = Figures{Residue: 0.031, Traffic: 2.7}
	default:
		return nil, fmt.Errorf("%w: table %d of the paper; there are 1, 2 and 3", ErrParams, table)
	}
	rows := make([]PaperRow, len(paper))
	for i := range rows {
		m.K = i + 1
		rows[i] = PaperRow{
			K: i + 1, Paper: paper[i], Reproduced: again[i],
			Rounds: Rounds{Nodes: paperNodes, Mongering: m, Rumors: rumorsPerNetwork, Seed: 1},
		}
	}
	return rows, nil
}
