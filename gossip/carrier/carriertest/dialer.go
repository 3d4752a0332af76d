package carriertest

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/wire"
)

// The part of the suite for carriers that are also a [carrier.Dialer].

// dialers returns n carriers that are started and not linked, or skips the test.
func dialers(t *testing.T, f Factory, n int) (*rig, []carrier.Dialer) {
	t.Helper()
	r := startApart(t, f, n)
	all := make([]carrier.Dialer, n)
	for i, c := range r.Carriers {
		d, ok := c.(carrier.Dialer)
		if !ok {
			t.Skip("skipped: the carrier dials nobody")
		}
		all[i] = d
	}
	return r, all
}

func testRecords(t *testing.T, f Factory) {
	r, ds := dialers(t, f, 2)
	for i, d := range ds {
		signed := d.Record()
		if len(signed) == 0 || len(signed) > wire.RecordMaxBytes {
			t.Fatalf("record of %d bytes, want 1 to %d", len(signed), wire.RecordMaxBytes)
		}
		peer, _, err := ds[1-i].Check(signed)
		if err != nil || peer != r.Peers[i] {
			t.Errorf("the record is of %q, %v; want %q", peer, err, r.Peers[i])
		}
		for at := range signed {
			other := bytes.Clone(signed)
			other[at] ^= 1
			if peer, _, err := d.Check(other); err == nil && peer == r.Peers[i] {
				t.Errorf("a record with another byte %d passes", at)
			}
		}
		for _, bad := range [][]byte{nil, {0}, signed[:len(signed)/2], bytes.Repeat([]byte{0xff}, 300)} {
			if peer, _, err := d.Check(bad); !errors.Is(err, carrier.ErrRecord) && peer == r.Peers[i] {
				t.Errorf("a false record passes: %q, %v", peer, err)
			}
		}
	}
}

// apartFor is longer than a carrier takes that brings a link back by itself.
const apartFor = 500 * time.Millisecond

func testDial(t *testing.T, f Factory) {
	r, ds := dialers(t, f, 2)
	failed := func(err error) { t.Errorf("dial failed: %v", err) }
	for range 2 { // one that was released is welcome again
		ds[0].Dial(ds[1].Record(), failed)
		for i, h := range r.handlers {
			if e := h.next(t); !e.up || e.peer != r.Peers[1-i] {
				t.Fatalf("got %+v, want LinkUp of %q", e, r.Peers[1-i])
			}
		}
		r.send(t, 1, 0, carrier.News, []byte("hello"))
		if e := r.handlers[0].frame(t); string(e.frame) != "hello" {
			t.Fatalf("got %+v, want the frame", e)
		}
		ds[1].Avoid(r.Peers[0])
		ds[0].Avoid(r.Peers[1])
		ds[0].Release(r.Peers[1])
		for i, h := range r.handlers {
			if e := h.next(t); !e.down || e.peer != r.Peers[1-i] {
				t.Fatalf("got %+v, want LinkDown of %q", e, r.Peers[1-i])
			}
		}
		select { // avoided by both, they stay apart until one dials
		case e := <-r.handlers[0].events:
			t.Fatalf("got %+v after the release", e)
		case <-time.After(apartFor):
		}
	}
}

func testDialFails(t *testing.T, f Factory) {
	r, ds := dialers(t, f, 2)
	signed := ds[1].Record()
	if err := r.Carriers[1].Close(); err != nil {
		t.Fatal(err)
	}
	if r.Vanish != nil {
		r.Vanish(1)
	}
	calls := make(chan error, 2)
	for _, record := range [][]byte{signed, []byte("no record")} {
		ds[0].Dial(record, func(err error) { calls <- err })
		select {
		case err := <-calls:
			if err == nil {
				t.Error("a dial failed without an error")
			}
		case <-time.After(patience):
			t.Fatal("nothing was told of a dial that failed")
		}
	}
}
