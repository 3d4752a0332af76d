package p2p_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/p2p"
)

// BenchmarkStreams measures one way over loopback, from Send to Frame.
func BenchmarkStreams(b *testing.B) {
	for name, listen := range map[string]string{"tcp": overTCP, "quic": overQUIC} {
		for _, kib := range []int{1, 64, 256} {
			b.Run(fmt.Sprintf("%s/%dKiB", name, kib), func(b *testing.B) {
				benchmarkStreams(b, listen, kib<<10)
			})
		}
	}
}

func benchmarkStreams(b *testing.B, listen string, size int) {
	from, to := newHost(b, p2p.Config{Listen: []string{listen}}), newHost(b, p2p.Config{Listen: []string{listen}})
	arrived := make(chan int, 1)
	want := 0
	to.frame = func(carrier.Lane, []byte) {
		if want--; want == 0 {
			arrived <- 0
		}
	}
	from.start(b)
	to.start(b)
	from.connect(b, to)
	from.awaitUp(b, to)
	to.awaitUp(b, from)

	frame, head := make([]byte, size), make([]byte, 12)
	b.SetBytes(int64(size))
	b.ReportAllocs()
	want = b.N // no frame is under way yet
	b.ResetTimer()
	for range b.N {
		if err := from.Carrier().Send(context.Background(), to.ID(), carrier.News, head, frame); err != nil {
			b.Fatal(err)
		}
	}
	<-arrived
}
