package sim

import (
	"reflect"
	"testing"
	"time"

	"github.com/busnode/busnode/gossip"
)

// What is not delivered, for nobody would answer it, changes nothing.
func TestIdleContactsNeedNotBeDelivered(t *testing.T) {
	for _, mode := range []gossip.Mode{gossip.Pull, gossip.PushPull} {
		for _, blind := range []bool{false, true} {
			r := Rounds{
				Nodes: 200, Rumors: 5, Seed: 3,
				Mongering: gossip.Mongering{Mode: mode, Blind: blind, K: 2, Fanout: 2, Interval: time.Second},
			}
			if err := r.Validate(); err != nil {
				t.Fatal(err)
			}
			part := r.Run(0, nil)
			r.whole = true
			whole := r.Run(0, nil)
			if !reflect.DeepEqual(part, whole) {
				t.Errorf("mode %v, blind %v: %+v\nwith all delivered %+v", mode, blind, part.Rumors, whole.Rumors)
			}
			if part.Rumors[0].TLast == 0 {
				t.Error("nothing was spread")
			}
		}
	}
}

func BenchmarkRounds(b *testing.B) {
	rows, err := PaperTable(3)
	if err != nil {
		b.Fatal(err)
	}
	r := rows[1].Rounds
	r.Rumors = 20
	for b.Loop() {
		r.Run(0, nil)
	}
}
