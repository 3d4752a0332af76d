package sim

import (
	"cmp"
	"reflect"
	"slices"
	"strings"

	"github.com/busnode/busnode/gossip/wire"
)

// Tally counts what was sent since the last [Sim.Measure].
type Tally struct {
	Copies      uint64 // pushes of batches published since then that reached a node
	Repairs     uint64 // of them, in answer to a want
	Releases    uint64 // of such batches, at other nodes than the publisher
	Duplicates  uint64 // batches that a subscription could read twice
	Dropped     uint64 // frames, by faults
	Disconnects uint64 // that cores asked for, for breaches of the rules
	Dials       uint64 // that cores wished for
	Kinds       []KindTally

	first int // index of the first batch that counts
	kinds map[reflect.Type]int
	last  reflect.Type // of the last message that was looked up: many of one kind follow one another
	kind  int          // its index in Kinds
}

// KindTally counts the messages of one kind.
type KindTally struct {
	Kind     string // "push", "repair", or the message's name in lower case
	Messages uint64
	Bytes    uint64 // as encoded, pushes with their batch
}

const (
	pushKind = iota
	repairKind
)

func newTally(first int) Tally {
	return Tally{
		first: first, kinds: map[reflect.Type]int{},
		Kinds: []KindTally{{Kind: "push"}, {Kind: "repair"}},
	}
}

// Measure begins to count anew: batches that are published from now on, and all
// other messages that are sent from now on.
func (s *Sim) Measure() { s.tally = newTally(len(s.store.batches)) }

// Tally returns what was counted, the kinds with the most bytes first.
func (s *Sim) Tally() Tally {
	t := s.tally
	t.Kinds = slices.Clone(t.Kinds)
	slices.SortStableFunc(t.Kinds, func(x, y KindTally) int {
		return cmp.Or(cmp.Compare(y.Bytes, x.Bytes), strings.Compare(x.Kind, y.Kind))
	})
	return t
}

// Bytes returns the bytes of all messages, and of those that carry no batch.
func (t *Tally) Bytes() (all, control uint64) {
	for i := range t.Kinds {
		k := &t.Kinds[i]
		all += k.Bytes
		if k.Kind != "push" && k.Kind != "repair" {
			control += k.Bytes
		}
	}
	return all, control
}

// sent counts a message that goes into a frame.
func (t *Tally) sent(m wire.Message, batch, size int, repair bool) {
	i := pushKind
	switch {
	case batch < 0:
		i = t.kindOf(reflect.TypeOf(m))
	case batch < t.first:
		return
	case repair:
		i = repairKind
	}
	t.Kinds[i].Messages++
	t.Kinds[i].Bytes += uint64(size)
}

// kindOf returns the index of a kind of messages, made if need be.
func (t *Tally) kindOf(typ reflect.Type) int {
	if typ == t.last {
		return t.kind
	}
	i, known := t.kinds[typ]
	if !known {
		i = len(t.Kinds)
		t.kinds[typ] = i
		t.Kinds = append(t.Kinds, KindTally{Kind: strings.ToLower(typ.Elem().Name())})
	}
	t.last, t.kind = typ, i
	return i
}

// received counts a batch that reached a node.
func (t *Tally) received(batch int, repair bool) {
	if batch < t.first {
		return
	}
	t.Copies++
	if repair {
		t.Repairs++
	}
}

// released counts a batch that a subscription may read.
func (t *Tally) released(batch int) {
	if batch >= t.first {
		t.Releases++
	}
}
