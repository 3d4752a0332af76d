package segment

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/busnode/busnode/p2p/multicast/datagram"
)

// TestAnyShardsGiveTheBlockBack loses shards at random and takes parity rows at random.
func TestAnyShardsGiveTheBlockBack(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var d decoder
	for range 2000 {
		k, size := 1+r.IntN(datagram.DataMax), 1+r.IntN(100)
		block := randomBytes(r, k*size)
		damaged := bytes.Clone(block)
		lost := 1 + r.IntN(k)
		have := [4]uint64{1<<k - 1}
		for _, i := range r.Perm(k)[:lost] {
			have[0] &^= 1 << i
			copy(damaged[i*size:(i+1)*size], randomBytes(r, size))
		}
		var rows []parityRow
		for _, j := range r.Perm(parityMax)[:lost] {
			p := make([]byte, size)
			encode(p, block, k, j)
			rows = append(rows, parityRow{j, p, p})
		}
		d.decode(damaged, k, size, &have, rows)
		if !bytes.Equal(damaged, block) {
			t.Fatalf("k=%d, %d lost: the block did not come back", k, lost)
		}
	}
}

func randomBytes(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func BenchmarkParity(b *testing.B) {
	block := make([]byte, blockBytes)
	out := make([]byte, datagram.ShardMaxBytes)
	for b.Loop() {
		encode(out, block, datagram.DataMax, 7)
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, lost := range []int{1, 2, 4, 8} {
		b.Run(fmt.Sprintf("lost=%d", lost), func(b *testing.B) {
			var d decoder
			block := make([]byte, blockBytes)
			have := [4]uint64{(1<<datagram.DataMax - 1) << lost}
			var rows []parityRow
			for j := range lost {
				rows = append(rows, parityRow{row: j, bytes: make([]byte, datagram.ShardMaxBytes)})
			}
			for b.Loop() {
				d.decode(block, datagram.DataMax, datagram.ShardMaxBytes, &have, rows)
			}
		})
	}
}
