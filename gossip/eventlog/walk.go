package eventlog

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/busnode/busnode/gossip/wire"
)

const walkChunk = 256 // batches that are copied under one lock

// Each implements [Log]. f may call the log; what is stored or removed
// meanwhile may be told or not.
func (e *engine) Each(f func(*Meta) bool) {
	metas := make([]Meta, 0, walkChunk)
	for _, a := range e.authorsInOrder("") {
		var after *record
		for {
			metas, after = e.chunk(metas[:0], a, after)
			for i := range metas {
				if !f(&metas[i]) {
					return
				}
			}
			if len(metas) < walkChunk {
				break
			}
		}
	}
}

// authorsInOrder returns the authors of a topic, or with "" of all.
func (e *engine) authorsInOrder(topic string) []*authorIndex {
	var all []*authorIndex
	e.mu.RLock()
	if t := e.topics[topic]; t != nil {
		all = slices.AppendSeq(all, maps.Values(t.authors))
	} else if topic == "" {
		for _, t := range e.topics {
			all = slices.AppendSeq(all, maps.Values(t.authors))
		}
	}
	e.mu.RUnlock()
	slices.SortFunc(all, func(a, b *authorIndex) int {
		return cmp.Or(strings.Compare(a.topic.name, b.topic.name), bytes.Compare(a.author[:], b.author[:]))
	})
	return all
}

// chunk copies an author's batches that come after one.
func (e *engine) chunk(dst []Meta, a *authorIndex, after *record) ([]Meta, *record) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	i := 0
	if after != nil {
		at, found := slices.BinarySearchFunc(a.recs, after, compareRecords)
		i = at
		if found {
			i++
		}
	}
	for ; i < len(a.recs) && len(dst) < walkChunk; i++ {
		after = a.recs[i]
		dst = append(dst, e.meta(after))
	}
	return dst, after
}

// EachGap implements [Log]: topics by name, gaps by offset.
func (e *engine) EachGap(f func(Gap) bool) {
	var gaps []Gap
	e.mu.RLock()
	for _, name := range slices.Sorted(maps.Keys(e.topics)) {
		for _, at := range e.topics[name].entries {
			if at.gap != nil && !at.gap.gone {
				gaps = append(gaps, at.gap.Gap)
			}
		}
	}
	e.mu.RUnlock()
	for _, g := range gaps {
		if !f(g) {
			return
		}
	}
}

// EachTrimmed implements [Log].
func (e *engine) EachTrimmed(f func(topic string, a wire.Author, upto wire.Mark, newest wire.Time) bool) {
	type trimmed struct {
		topic  string
		author wire.Author
		upto   wire.Mark
		newest wire.Time
	}
	var all []trimmed
	e.mu.RLock()
	for _, t := range e.topics {
		for _, a := range t.authors {
			if a.trim != (wire.Mark{}) {
				all = append(all, trimmed{t.name, a.author, a.trim, a.trimTime})
			}
		}
	}
	e.mu.RUnlock()
	slices.SortFunc(all, func(x, y trimmed) int {
		return cmp.Or(cmp.Compare(x.topic, y.topic), bytes.Compare(x.author[:], y.author[:]))
	})
	for _, x := range all {
		if !f(x.topic, x.author, x.upto, x.newest) {
			return
		}
	}
}
