package eventlog_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/busnode/busnode/gossip/eventlog"
	et "github.com/busnode/busnode/gossip/eventlog/eventlogtest"
	"github.com/busnode/busnode/gossip/wire"
)

// crashModel is what a log with SyncAlways has promised.
type crashModel struct {
	t       *rapid.T
	fs      *et.FaultFS
	log     *eventlog.Segments
	authors []*et.Author
	waiting []*wire.Batch // stored and not released by us

	mu       sync.Mutex // guards the fields below, which callbacks change
	known    map[wire.BatchID]*wire.Batch
	stored   map[wire.BatchID]bool // durable
	released map[wire.BatchID]bool // durable
	trimmed  map[wire.BatchID]bool // removed by us
	cursor   uint64                // durable
	tried    uint64                // highest that was appended
}

func TestCrashesTakeNothingPromised(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &crashModel{
			t: rt, fs: et.NewFaultFS(),
			known: make(map[wire.BatchID]*wire.Batch), stored: make(map[wire.BatchID]bool),
			released: make(map[wire.BatchID]bool), trimmed: make(map[wire.BatchID]bool),
		}
		for i := range 4 {
			m.authors = append(m.authors, et.NewAuthor(t, fmt.Sprintf("t%d", i%2), byte(i)))
		}
		m.open()
		m.wait([]eventlog.Op{et.Declared("d", ">")})
		rt.Repeat(map[string]func(*rapid.T){
			"append":  m.append,
			"release": m.release,
			"cursor":  m.moveCursor,
			"gap":     m.gap,
			"retain":  m.retain,
			"crash":   m.crash,
			"reopen":  m.reopen,
			"":        func(*rapid.T) {},
		})
		m.crash(rt)
		m.crash(rt)
		_ = m.log.Close()
	})
}

func (m *crashModel) open() {
	l, err := eventlog.Open(faultDir, eventlog.Config{FS: m.fs, Logger: quiet, SegmentBytes: 8 << 10, TailBytes: 2 << 10})
	if err != nil {
		m.t.Fatalf("open: %v", err)
	}
	m.log = l
}

// start appends ops; what they promise is noted when durable is called.
func (m *crashModel) start(ops []eventlog.Op, done func()) {
	m.mu.Lock()
	for _, op := range ops {
		if op.Batch != nil {
			m.known[op.Batch.ID] = op.Batch
		}
	}
	m.mu.Unlock()
	log := m.log
	log.Append(ops, nil, func(err error) {
		if err == nil {
			m.promise(log, ops)
		}
		done()
	})
}

func (m *crashModel) promise(log eventlog.Log, ops []eventlog.Op) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, op := range ops {
		switch op.Kind {
		case eventlog.OpBatch:
			h := &op.Batch.Header
			if h.End().Compare(log.TrimmedTo(h.Topic, h.Author)) > 0 { // else it was not wanted back
				m.stored[op.Batch.ID] = true
			}
		case eventlog.OpRelease:
			m.released[op.ID] = true
		case eventlog.OpCursor:
			m.cursor = op.Offset
		default: // nothing is promised of the others
		}
	}
}

func (m *crashModel) wait(ops []eventlog.Op) {
	done := make(chan struct{})
	m.start(ops, func() { close(done) })
	<-done
}

// append appends a few units at once, and waits for them, or leaves them in flight.
func (m *crashModel) append(t *rapid.T) {
	var wg sync.WaitGroup
	for range rapid.IntRange(1, 5).Draw(t, "units") {
		var ops []eventlog.Op
		for range rapid.IntRange(1, 3).Draw(t, "batches") {
			b := rapid.SampledFrom(m.authors).Draw(t, "author").Batch(
				rapid.IntRange(1, 3).Draw(t, "events"), rapid.IntRange(0, 900).Draw(t, "size"))
			ops = append(ops, et.Stored(b))
			if rapid.Bool().Draw(t, "at once") {
				ops = append(ops, et.Released(b))
			} else {
				m.waiting = append(m.waiting, b)
			}
		}
		wg.Add(1)
		m.start(ops, wg.Done)
	}
	if rapid.Bool().Draw(t, "wait") {
		wg.Wait()
	}
}

func (m *crashModel) release(t *rapid.T) {
	if len(m.waiting) == 0 {
		return
	}
	i := rapid.IntRange(0, len(m.waiting)-1).Draw(t, "which")
	b := m.waiting[i]
	m.waiting = append(m.waiting[:i], m.waiting[i+1:]...)
	m.wait(et.Both(b))
}

func (m *crashModel) moveCursor(t *rapid.T) {
	m.tried++
	m.start([]eventlog.Op{et.Cursor("d", "t0", m.tried)}, func() {})
}

func (m *crashModel) gap(t *rapid.T) {
	a := rapid.SampledFrom(m.authors).Draw(t, "author")
	m.wait([]eventlog.Op{{Kind: eventlog.OpGap, Gap: eventlog.Gap{
		Topic: "t0", Author: a.ID(), To: wire.Mark{Epoch: 1 << 62}, Reason: "lost",
	}}})
}

func (m *crashModel) retain(t *rapid.T) {
	removed, err := m.log.Retain(et.Base, eventlog.Limits{
		Bytes:      int64(rapid.IntRange(20_000, 60_000).Draw(t, "bytes")),
		TopicBytes: int64(rapid.IntRange(5_000, 60_000).Draw(t, "topic bytes")),
	}, nil)
	if err != nil {
		t.Fatalf("retain: %v", err)
	}
	for _, r := range removed {
		m.trimmed[r.ID] = true
	}
}

func (m *crashModel) crash(t *rapid.T) {
	var r *rand.Rand
	if seed := rapid.Uint64Range(0, 1000).Draw(t, "seed"); seed > 0 {
		r = rand.New(rand.NewPCG(seed, 1))
	}
	m.fs.Crash(r, rapid.Bool().Draw(t, "scatter"))
	_ = m.log.Close() // of a machine that is gone
	m.fs.Restart()
	m.compare(true)
}

func (m *crashModel) reopen(*rapid.T) {
	if err := m.log.Close(); err != nil {
		m.t.Fatalf("close: %v", err)
	}
	m.compare(false)
	if r := m.log.Info().Repaired; len(r) > 0 {
		m.t.Fatalf("repaired after a clean end: %v", r)
	}
}

// compare opens the log again and compares it with the one before and with what
// was promised.
func (m *crashModel) compare(crashed bool) {
	before := metas(m.log)
	m.open()
	after := metas(m.log)
	for id, meta := range after {
		if m.known[id] == nil {
			m.t.Fatalf("batch %v was never appended", id)
		}
		was, ok := before[id]
		if !ok && !m.trimmed[id] && !crashed {
			m.t.Fatalf("batch %v came back", id)
		}
		if ok && was.Released && meta.Released && was.Offset != meta.Offset {
			m.t.Fatalf("batch %v moved from offset %d to %d", id, was.Offset, meta.Offset)
		}
		if b, err := m.log.Batch(id); err != nil || string(b.Raw) != string(m.known[id].Raw) {
			m.t.Fatalf("batch %v: %v", id, err)
		}
	}
	for id := range m.stored {
		if _, ok := after[id]; !ok && !m.trimmed[id] {
			m.t.Fatalf("batch %v is gone; repaired: %v", id, m.log.Info().Repaired)
		}
	}
	for id := range m.released {
		if meta, ok := after[id]; ok && !meta.Released {
			m.t.Fatalf("the release of %v is gone", id)
		}
	}
	if c, _ := m.log.Cursor("d", "t0"); c < m.cursor || c > m.tried {
		m.t.Fatalf("cursor is %d, promised %d, tried %d", c, m.cursor, m.tried)
	}
	m.contiguous()
}

// contiguous checks that offsets ascend and that nothing is read twice.
func (m *crashModel) contiguous() {
	for _, topic := range m.log.Topics() {
		next := topic.First
		for _, e := range et.ReadAll(m.t, m.log, topic.Name) {
			if e.Offset < next || e.Gap == nil && e.Batch == nil {
				m.t.Fatalf("%s: %+v where offset %d comes next", topic.Name, e, next)
			}
			next = e.Next()
		}
	}
}

func metas(l eventlog.Log) map[wire.BatchID]eventlog.Meta {
	all := make(map[wire.BatchID]eventlog.Meta)
	l.Each(func(m *eventlog.Meta) bool { all[m.ID] = *m; return true })
	return all
}
