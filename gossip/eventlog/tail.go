package eventlog

// tail keeps the newest bodies in memory.
type tail struct {
	recs  []*record // oldest first
	start int
	bytes int64
}

// push keeps b with r and lets the oldest go.
func (t *tail) push(r *record, max int64) {
	if max < 0 {
		return // a memory log keeps all
	}
	t.recs = append(t.recs, r)
	t.bytes += int64(r.size)
	for t.bytes > max && t.start < len(t.recs) {
		old := t.recs[t.start]
		t.recs[t.start] = nil
		t.start++
		t.bytes -= int64(old.size)
		old.body = nil
	}
	if t.start > 1024 && t.start > len(t.recs)/2 {
		n := copy(t.recs, t.recs[t.start:])
		clear(t.recs[n:])
		t.recs, t.start = t.recs[:n], 0
	}
}
