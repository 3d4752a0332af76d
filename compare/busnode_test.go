package compare

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"

	"github.com/libp2p/go-libp2p/core/host"

	"github.com/busnode/busnode/bus"
)

// busnode is a bus on each host, with default parameters and a log in memory.
type busnode struct {
	buses   []*bus.Bus
	topics  []bus.Topic[[]byte]
	stop    context.CancelFunc
	readers sync.WaitGroup
}

func openBusnode(t *testing.T, hosts []host.Host, r *recorder) system {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	s := &busnode{stop: stop}
	for i, h := range hosts {
		b, err := bus.Open(ctx, bus.WithHost(h), bus.WithLogger(slog.New(slog.DiscardHandler)), bus.WithoutMDNS())
		if err != nil {
			t.Fatal(err)
		}
		topic, err := bus.TopicOf(b, topicName, bus.Bytes{})
		if err != nil {
			t.Fatal(err)
		}
		sub, err := topic.Subscribe(ctx, bus.FromStart())
		if err != nil {
			t.Fatal(err)
		}
		s.buses = append(s.buses, b)
		s.topics = append(s.topics, topic)
		s.readers.Go(func() {
			for ev, err := range sub.Events(ctx) {
				if err != nil {
					if ctx.Err() == nil {
						t.Errorf("node %d: %v", i, err)
					}
					continue
				}
				r.received(i, ev.Value)
			}
		})
	}
	return s
}

func (s *busnode) publish(ctx context.Context, node int, payload []byte) error {
	_, err := s.topics[node].Publish(ctx, payload)
	return err
}

// counters sums the nodes' counters up. Each batch that arrives is either
// verified or, when its bytes are at hand, known to be good.
func (s *busnode) counters() map[string]int64 {
	sum := map[string]int64{}
	for _, b := range s.buses {
		for name, n := range b.Stats().Counters {
			sum[name] += int64(n)
		}
	}
	sum[copiesCounter] = sum["verified"] + sum["verify_skipped"]
	return sum
}

func (s *busnode) close() error {
	s.stop()
	s.readers.Wait()
	var errs []error
	for _, b := range s.buses {
		errs = append(errs, b.Close())
	}
	return errors.Join(errs...)
}
