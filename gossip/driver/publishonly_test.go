package driver

import (
	"fmt"
	"testing"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// Many small batches on a few topics are more than fits one outbox: what one
// answer cannot carry must be asked for again, for nobody else has it.
func TestALateJoinerOfAPublishOnlyNodeGetsAll(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		p := r.start(1)
		if err := p.RemoveInterest(">"); err != nil {
			t.Fatal(err)
		}
		const topics, per = 4, 1200
		for range per {
			for k := range topics {
				e := wire.Event{Payload: []byte("0123456789")}
				if _, err := p.Publish(t.Context(), fmt.Sprint("t.", k), e); err != nil {
					t.Fatal(err)
				}
			}
		}
		x := r.start(2)
		r.connect(p, x)
		time.Sleep(15 * time.Second)
		for k := range topics {
			topic := fmt.Sprint("t.", k)
			if info, _ := x.log.Topic(topic); info.Events != per {
				t.Errorf("%d of %d events of %s; counters %v", info.Events, per, topic, nonzero(x.Stats().Counters()))
			}
		}
	})
}
