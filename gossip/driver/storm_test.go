package driver

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// TestStormsLoseNothing publishes at six nodes while links break, the network
// is cut and nodes restart on their logs; then all is well again, and all nodes
// hold all events, in order, once.
func TestStormsLoseNothing(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) { storm(t, r, seed) })
		})
	}
}

func storm(t *testing.T, r *rig, seed uint64) {
	const size = 6
	rng := rand.New(rand.NewPCG(seed, 1))
	nodes := make([]*node, size)
	var ids []wire.PeerID
	for i := range nodes {
		nodes[i] = r.start(byte(i + 1))
		ids = append(ids, nodes[i].id)
	}
	for i := range nodes {
		r.net.Connect(ids[i], ids[(i+1)%size])
		r.net.Connect(ids[i], ids[rng.IntN(size)])
	}
	r.net.SetDelay(time.Millisecond, 60*time.Millisecond)
	r.net.SetLoss(0.002)
	want := map[string]int{}
	for range 200 {
		i := rng.IntN(size)
		name := string(rune('a' + i))
		n := 1 + rng.IntN(20)
		nodes[i].publish(name, want[name], n)
		want[name] += n
		switch rng.IntN(30) {
		case 0:
			half := rng.Perm(size)
			var left, right []wire.PeerID
			for j, k := range half {
				if j < size/2 {
					left = append(left, ids[k])
				} else {
					right = append(right, ids[k])
				}
			}
			r.net.Cut(left, right)
		case 1, 2:
			r.net.Heal()
		case 3:
			j := rng.IntN(size)
			nodes[j].stop()
			time.Sleep(time.Duration(rng.IntN(2000)) * time.Millisecond)
			nodes[j] = r.startOn(byte(j+1), nodes[j].log)
		}
		time.Sleep(time.Duration(rng.IntN(100)) * time.Millisecond)
	}
	r.net.Heal()
	r.net.SetLoss(0)
	for i := range nodes { // a node left alone by its random links joins the ring at least
		r.net.Connect(ids[i], ids[(i+1)%size])
	}
	for _, x := range nodes {
		x.wantAll(30*time.Second, want)
	}
}
