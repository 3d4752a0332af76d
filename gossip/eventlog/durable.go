package eventlog

import "strings"

// durableState is a durable that is declared. A name that was forgotten and is
// declared again begins another life, so that cursors of an earlier one, which
// older segments may still have when the forgetting is gone, stay dead.
type durableState struct {
	filter  string
	life    uint64
	seg     uint32
	cursors map[string]cursorState // by topic
}

type tombstone struct {
	life uint64
	seg  uint32
}

type cursorState struct {
	offset uint64
	seg    uint32
}

func (x *index) setDurable(name, filter string, life uint64, seg uint32) {
	delete(x.forgotten, name)
	x.lives = max(x.lives, life)
	d := x.durables[name]
	if d == nil || d.life != life {
		d = &durableState{life: life, cursors: make(map[string]cursorState)}
		x.durables[strings.Clone(name)] = d
	}
	d.filter, d.seg = strings.Clone(filter), seg
}

func (x *index) setCursor(it *item, seg uint32) {
	if d := x.durables[it.name]; d != nil && d.life == it.life {
		d.cursors[x.topic(it.topic).name] = cursorState{it.offset, seg}
	}
}

func (x *index) forget(name string, life uint64, seg uint32) {
	if d := x.durables[name]; d != nil && d.life == life {
		delete(x.durables, name)
	}
	if seg > 0 && x.durables[name] == nil {
		x.forgotten[strings.Clone(name)] = tombstone{life, seg}
	}
}
