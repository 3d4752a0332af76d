package multicast

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/p2p/multicast/socket"
)

// jam has the ends of a wire wait in Write until the returned function is called.
func (w *ether) jam() (clear func()) {
	gate := make(chan struct{})
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.ends {
		e.gate.Store(&gate)
	}
	return func() { close(gate) }
}

// TestStatusDoesNotWaitForTheWire has a station's loop wait in Write.
func TestStatusDoesNotWaitForTheWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newEther()
		a, b := onWire(t, 0, w, both...), onWire(t, 1, w, both...)
		a.told(2*time.Second, "up segment:eth0", `member n1 ""`)
		before := a.Status().Segments[0]
		clear := w.jam()
		time.Sleep(10 * time.Second) // in which a beacon is due
		begin := time.Now()
		st := a.Status()
		if waited := time.Since(begin); waited > 0 || len(st.Segments) != 1 ||
			st.Segments[0].Engine.Beacons <= before.Engine.Beacons {
			t.Errorf("after %v: %+v", waited, st)
		}
		clear()
		closeNodes(t, a, b)
	})
}

// TestCountersOutliveTheirSegments has an interface and its families come and go.
func TestCountersOutliveTheirSegments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newEther()
		a, b := onWire(t, 0, w, socket.IPv4), onWire(t, 1, w, socket.IPv4)
		var last Counters
		grown := func(what string) {
			t.Helper()
			synctest.Wait()
			now := a.Status().Total
			if now.Engine.Beacons < last.Engine.Beacons || now.Engine.Opened < last.Engine.Opened ||
				now.Engine.SentBytes < last.Engine.SentBytes || now.Sockets[socket.IPv4].Sent < last.Sockets[socket.IPv4].Sent {
				t.Errorf("%s: %+v, before %+v", what, now, last)
			}
			last = now
		}
		time.Sleep(5 * time.Second)
		grown("up")
		if last.Engine.Beacons == 0 || last.Engine.Opened == 0 || last.Sockets[socket.IPv4].Sent == 0 {
			t.Fatalf("nothing was counted: %+v", last)
		}
		a.machine.renumber(2, socket.IPv6)
		time.Sleep(time.Second)
		grown("without IPv4")
		clear := w.jam()
		a.machine.unplug(2)
		time.Sleep(goodbyeMax / 2)
		grown("while it is being closed")
		clear()
		time.Sleep(time.Second)
		grown("without an interface")
		if last.Engine.Members > 0 || last.Engine.RateBits > 0 {
			t.Errorf("what is as of now was added: %+v", last.Engine)
		}
		a.machine.plug(7, "eth0", w, both...)
		time.Sleep(5 * time.Second)
		grown("up again")
		if one := a.Status().Segments[0].Engine.Beacons; one == 0 || last.Engine.Beacons <= one {
			t.Errorf("%d beacons in all, %d on the segment that is up", last.Engine.Beacons, one)
		}
		closeNodes(t, a, b)
		grown("closed")
	})
}

// TestAllCountersAreAdded finds a counter that is added nowhere.
func TestAllCountersAreAdded(t *testing.T) {
	var one, sum Counters
	fill(reflect.ValueOf(&one).Elem())
	sum.add(&one)
	sum.add(&one)
	doubled(t, "Counters", reflect.ValueOf(one), reflect.ValueOf(sum))
}

// fill sets all counters, which are of type uint64.
func fill(v reflect.Value) {
	for _, f := range within(v) {
		fill(f)
	}
	if v.Kind() == reflect.Uint64 {
		v.SetUint(21)
	}
}

func doubled(t *testing.T, name string, one, sum reflect.Value) {
	all := within(sum)
	for i, f := range within(one) {
		inner := name
		if one.Kind() == reflect.Struct {
			inner += "." + one.Type().Field(i).Name
		}
		doubled(t, inner, f, all[i])
	}
	if one.Kind() == reflect.Uint64 && sum.Uint() != 2*one.Uint() {
		t.Errorf("%s is not added", name)
	}
}

// within returns what a value consists of.
func within(v reflect.Value) (all []reflect.Value) {
	if v.Kind() == reflect.Struct {
		for i := range v.NumField() {
			all = append(all, v.Field(i))
		}
	}
	if v.Kind() == reflect.Array {
		for i := range v.Len() {
			all = append(all, v.Index(i))
		}
	}
	return all
}

// TestWhyInterfacesAreUnknownIsTold has the system refuse to list them.
func TestWhyInterfacesAreUnknownIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newEther()
		a := onWire(t, 0, w, both...)
		a.told(2*time.Second, "up segment:eth0")
		a.machine.refuse(errors.New("too many files"))
		a.told(2 * time.Second)
		if st := a.Status(); st.Err == nil || st.Err.Error() != "too many files" || len(st.Segments) != 1 {
			t.Errorf("status %+v", st)
		}
		a.machine.refuse(nil)
		time.Sleep(2 * time.Second)
		if st := a.Status(); st.Err != nil {
			t.Errorf("status %+v", st)
		}
		closeNodes(t, a)
	})
}

// TestWhatIsReadLateIsNotAskedFor loses nothing, and has a receiver's readers get the
// processor after its timers.
func TestWhatIsReadLateIsNotAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newEther()
		a, b := onWire(t, 0, w, both...), onWire(t, 1, w, both...)
		time.Sleep(3 * time.Second)
		w.late(2, 8*time.Millisecond)
		for range 200 {
			a.send("segment:eth0", carrier.News, strings.Repeat("x", 1000))
			time.Sleep(300 * time.Microsecond)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if got := len(take(b, &b.frames)); got != 200 {
			t.Errorf("%d frames of 200", got)
		}
		if n := b.Status().Segments[0].Engine.Nacks; n > 0 {
			t.Errorf("%d requests for nothing that was lost", n)
		}
		closeNodes(t, a, b)
	})
}
