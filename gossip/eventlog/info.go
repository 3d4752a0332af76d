package eventlog

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/busnode/busnode/gossip/wire"
)

func (t *topicIndex) info() TopicInfo {
	return TopicInfo{
		Name: t.name, Batches: t.batches, Events: t.events, Bytes: t.bytes,
		First: t.first(), Next: t.next, Authors: t.holding,
	}
}

// Topic implements [Log].
func (e *engine) Topic(name string) (TopicInfo, bool) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	t := e.topics[name]
	if t == nil || !t.used() {
		return TopicInfo{}, false
	}
	return t.info(), true
}

// Topics implements [Log].
func (e *engine) Topics() []TopicInfo {
	e.mu.RLock()
	defer e.mu.RUnlock()
	infos := make([]TopicInfo, 0, len(e.topics))
	for _, t := range e.topics {
		if t.used() {
			infos = append(infos, t.info())
		}
	}
	slices.SortFunc(infos, func(a, b TopicInfo) int { return strings.Compare(a.Name, b.Name) })
	return infos
}

// Info implements [Log].
func (e *engine) Info() Info {
	failed := e.failure()
	e.mu.RLock()
	defer e.mu.RUnlock()
	return Info{
		Events: e.events, Batches: uint64(len(e.batches)), Bytes: e.footprint(),
		Durable: e.disk != nil, Incarnation: e.incarnation, Full: errors.Is(failed, ErrFull),
		Syncs: e.syncs.Load(), Writes: e.writes.Load(), Skipped: e.skipped.Load(),
		Failed: failed, Repaired: slices.Clone(e.repaired),
	}
}

// footprint is what the log takes, on disk or in memory.
func (e *engine) footprint() int64 {
	if e.disk == nil {
		return e.bytes
	}
	var total int64
	for _, s := range e.segments {
		if !s.missing {
			total += s.size
		}
		total += max(s.sideSize, int64(len(s.side))) // written, or to be
	}
	return total
}

// NewestTime implements [Log].
func (e *engine) NewestTime() wire.Time {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.newest
}

// TrimmedTo implements [Log].
func (e *engine) TrimmedTo(topic string, a wire.Author) wire.Mark {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if t := e.topics[topic]; t != nil {
		if ai := t.authors[a]; ai != nil {
			return ai.trim
		}
	}
	return wire.Mark{}
}

// Durables implements [Log].
func (e *engine) Durables() []Durable {
	e.mu.RLock()
	defer e.mu.RUnlock()
	all := make([]Durable, 0, len(e.durables))
	for _, name := range slices.Sorted(maps.Keys(e.durables)) {
		all = append(all, Durable{Name: name, Filter: e.durables[name].filter})
	}
	return all
}

// Cursor implements [Log].
func (e *engine) Cursor(name, topic string) (uint64, bool) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	d := e.durables[name]
	if d == nil {
		return 0, false
	}
	c, ok := d.cursors[topic]
	return c.offset, ok
}
