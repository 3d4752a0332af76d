package compare

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// recorder makes payloads, which cannot be compressed, and notes when which
// node receives them.
type recorder struct {
	nodes int

	mu     sync.Mutex // guards the fields below
	draw   *rand.ChaCha8
	events []*sent
	newest []map[int]int // by node and publisher: the newest event received
	faults faults
}

// sent is one event. Each node's latency is 0 until it arrives there: nothing
// arrives in no time.
type sent struct {
	publisher int
	payload   []byte
	at        time.Time
	latencies []time.Duration
}

// faults count what arrived and should not have.
type faults struct {
	Foreign    int `json:"foreign"`      // not what was published
	Twice      int `json:"twice"`        // at one node
	OutOfOrder int `json:"out_of_order"` // after a later event of the same publisher
}

const numberBytes = 8 // of an event, at the beginning of its payload

func newRecorder(nodes int, seed uint64) *recorder {
	r := &recorder{nodes: nodes, draw: rand.NewChaCha8(chachaSeed(seed, "payloads"))}
	for range nodes {
		r.newest = append(r.newest, map[int]int{})
	}
	return r
}

// next makes the next event, which is published now.
func (r *recorder) next(publisher, bytes int) (payload []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	payload = make([]byte, bytes)
	_, _ = r.draw.Read(payload) // never fails, by its contract
	binary.BigEndian.PutUint64(payload, uint64(len(r.events)))
	r.events = append(r.events, &sent{publisher, payload, time.Now(), make([]time.Duration, r.nodes)})
	return payload
}

func (r *recorder) published() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.events)
}

// received notes an arrival. A publisher's own do not count.
func (r *recorder) received(node int, payload []byte) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	number := uint64(len(r.events))
	if len(payload) >= numberBytes {
		number = binary.BigEndian.Uint64(payload)
	}
	if number >= uint64(len(r.events)) || !bytes.Equal(r.events[number].payload, payload) {
		r.faults.Foreign++
		return
	}
	e := r.events[number]
	if e.publisher == node {
		return
	}
	if e.latencies[node] != 0 {
		r.faults.Twice++
		return
	}
	e.latencies[node] = now.Sub(e.at)
	if last, any := r.newest[node][e.publisher]; any && last > int(number) {
		r.faults.OutOfOrder++
		return
	}
	r.newest[node][e.publisher] = int(number)
}

// arrived returns, in order, the latencies with which the events from the
// given one on arrived at other nodes, and how many there should be.
func (r *recorder) arrived(from int) (latencies []time.Duration, expected int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events[from:] {
		expected += r.nodes - 1
		for _, l := range e.latencies {
			if l != 0 {
				latencies = append(latencies, l)
			}
		}
	}
	slices.Sort(latencies)
	return latencies, expected
}

func (r *recorder) faultsSoFar() faults {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.faults
}
