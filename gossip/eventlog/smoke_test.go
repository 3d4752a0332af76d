package eventlog_test

import (
	"testing"

	"github.com/busnode/busnode/gossip/eventlog"
	et "github.com/busnode/busnode/gossip/eventlog/eventlogtest"
)

func TestSmoke(t *testing.T) {
	dir := t.TempDir()
	for _, open := range []func() eventlog.Log{
		func() eventlog.Log { return eventlog.NewMemory(eventlog.MemoryConfig{}) },
		func() eventlog.Log {
			l, err := eventlog.Open(dir, eventlog.Config{TailBytes: -1, SegmentBytes: 8192})
			if err != nil {
				t.Fatal(err)
			}
			return l
		},
	} {
		l := open()
		a := et.NewAuthor(t, "x", 1)
		for range 20 {
			et.Append(t, l, et.Both(a.Batch(3, 500))...)
		}
		es := et.ReadAll(t, l, "x")
		if len(es) != 20 || es[19].Offset != 57 || es[19].Batch == nil {
			t.Fatal(len(es), es)
		}
		t.Logf("%+v", l.Info())
		et.Close(t, l)
	}
	l, err := eventlog.Open(dir, eventlog.Config{TailBytes: -1})
	if err != nil {
		t.Fatal(err)
	}
	es := et.ReadAll(t, l, "x")
	if len(es) != 20 || es[19].Offset != 57 || es[19].Batch == nil {
		t.Fatal(len(es), es)
	}
	t.Logf("%+v", l.Info())
	et.Close(t, l)
}
