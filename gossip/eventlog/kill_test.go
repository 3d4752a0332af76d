package eventlog_test

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/busnode/busnode/gossip/eventlog"
	et "github.com/busnode/busnode/gossip/eventlog/eventlogtest"
	"github.com/busnode/busnode/gossip/wire"
)

const killDirEnv = "BUSNODE_EVENTLOG_KILL_DIR"

// TestKilledWriter is the child of TestKillTakesNothingPromised: it writes until
// it is killed, and tells each batch that is durable.
func TestKilledWriter(t *testing.T) {
	dir := os.Getenv(killDirEnv)
	if dir == "" {
		t.Skip("runs as a child of TestKillTakesNothingPromised alone")
	}
	l, err := eventlog.Open(dir, eventlog.Config{SegmentBytes: 64 << 10, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	a := et.NewAuthor(t, "t", byte(l.Info().Batches))
	for range l.Info().Batches { // each life goes on behind the one before
		a.Restart()
	}
	free := make(chan struct{}, inFlight)
	for {
		free <- struct{}{}
		b := a.Batch(3, 500)
		l.Append(et.Both(b), nil, func(err error) {
			if err == nil {
				fmt.Printf("durable %x\n", b.ID[:])
			}
			<-free
		})
	}
}

func TestKillTakesNothingPromised(t *testing.T) {
	dir := t.TempDir()
	promised := make(map[wire.BatchID]bool)
	offsets := make(map[wire.BatchID]uint64)
	for life := range 3 {
		killWriter(t, dir, 200*(life+1), promised)
		for range 2 {
			l, err := eventlog.Open(dir, eventlog.Config{SegmentBytes: 64 << 10, Logger: quiet})
			if err != nil {
				t.Fatal(err)
			}
			next := uint64(0)
			held := make(map[wire.BatchID]bool)
			for _, e := range et.ReadAll(t, l, "t") {
				if e.Offset != next || e.Batch == nil {
					t.Fatalf("%+v where offset %d comes next", e, next)
				}
				if was, ok := offsets[e.Meta.ID]; ok && was != e.Offset {
					t.Fatalf("%v moved from offset %d to %d", e.Meta.ID, was, e.Offset)
				}
				offsets[e.Meta.ID] = e.Offset
				held[e.Meta.ID] = true
				next = e.Next()
			}
			for id := range promised {
				if !held[id] {
					t.Errorf("life %d: %v was durable and is gone; repaired: %v", life, id, l.Info().Repaired)
				}
			}
			et.Close(t, l)
		}
	}
}

// killWriter runs a writer and kills it after n durable batches.
func killWriter(t *testing.T, dir string, n int, promised map[wire.BatchID]bool) {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^TestKilledWriter$")
	child.Env = append(os.Environ(), killDirEnv+"="+dir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for count := 0; lines.Scan(); {
		var text string
		if _, err := fmt.Sscanf(lines.Text(), "durable %s", &text); err != nil {
			continue
		}
		id, err := hex.DecodeString(text)
		if err != nil || len(id) != len(wire.BatchID{}) {
			break // the kill cut the line
		}
		promised[wire.BatchID(id)] = true
		if count++; count == n {
			if err := child.Process.Kill(); err != nil {
				t.Error(err)
			}
		}
	}
	_ = child.Wait() // it was killed
}
