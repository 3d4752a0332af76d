package driver

import "github.com/busnode/busnode/gossip/wire"

// A push repeats what those before it told of the same run: its topic, author and
// epoch. So on a link that keeps order a push gives its run a number, and those after
// it are short. Both ends forget the numbers with the link. Where one end
// has a new link before the other knows that the old one is gone, short pushes come
// whose numbers stand for nothing: they are dropped, for the cores begin anew
// too, and find what is missing. A number never stands for another run than the
// sender means: it uses those alone that it gave on this link itself.

// numbersGiven are the numbers that an outbox gave to runs, from 1 upwards, at most
// wire.PushNumbersMax; then the one given longest ago is given anew.
type numbersGiven struct {
	numbers map[wire.Run]uint32
	runs    []wire.Run // by number - 1
	last    uint32     // the number given last
}

// give gives the run a number, and takes it from whoever has it.
func (g *numbersGiven) give(r wire.Run) uint32 {
	if g.numbers == nil {
		g.numbers = map[wire.Run]uint32{}
	}
	if g.last++; g.last > wire.PushNumbersMax {
		g.last = 1
	}
	if int(g.last) > len(g.runs) {
		g.runs = append(g.runs, r)
	} else {
		delete(g.numbers, g.runs[g.last-1])
		g.runs[g.last-1] = r
	}
	g.numbers[r] = g.last
	return g.last
}

// forget begins anew with number 1.
func (g *numbersGiven) forget() { *g = numbersGiven{} }

// numbersTold are the numbers that a peer gave to runs on a link. Nil: none are heeded.
type numbersTold struct {
	runs []wire.Run // by number - 1
}

// note notes what a push's number stands for. Numbers are given one after another,
// so one that skips some was given on an earlier link.
func (t *numbersTold) note(p *wire.Push) {
	n := int(p.Number)
	if t == nil || n == 0 || n > len(t.runs)+1 {
		return
	}
	if n > len(t.runs) {
		t.runs = append(t.runs, wire.Run{})
	}
	t.runs[n-1] = p.Batch.Header.Run()
}

// run returns what the number stands for.
func (t *numbersTold) run(n uint32) (r wire.Run, ok bool) {
	if t == nil || int(n) > len(t.runs) {
		return r, false
	}
	return t.runs[n-1], true
}
