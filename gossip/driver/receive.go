package driver

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/wire"
)

// errManyMessages refuses a frame whose messages would keep the loop busy.
var errManyMessages = fmt.Errorf("%w: more than %d messages in a frame", wire.ErrTooLarge, messagesMax)

// receiver is what one carrier calls. Parsing and verifying happen here, on the
// carrier's goroutines; when the node cannot follow, they wait here, and the
// carrier reads no more from that peer.
type receiver struct {
	d       *Driver
	carrier carrier.Carrier
	segment atomic.Pointer[wire.PeerID] // of a one-to-many carrier: its link's name
}

func newVerifySlots() chan struct{} { return make(chan struct{}, runtime.GOMAXPROCS(0)) }

// LinkUp implements [carrier.Handler].
func (r *receiver) LinkUp(l carrier.Link) {
	if r.carrier.Traits().Many {
		r.segment.Store(&l.Peer)
	}
	r.d.post(linkUp{r.carrier, l})
}

// LinkDown implements [carrier.Handler].
func (r *receiver) LinkDown(peer wire.PeerID, reason error) {
	r.d.post(linkDown{r.carrier, peer, reason})
}

// Frame implements [carrier.Handler].
func (r *receiver) Frame(from wire.PeerID, _ carrier.Lane, frame []byte) {
	d := r.d
	if s := r.segment.Load(); s != nil {
		from = *s // to the core, a segment is one neighbour
	}
	d.counters.framesIn.Add(1)
	d.counters.bytesIn.Add(uint64(len(frame)))
	in := &received{from: from}
	var pushes []*wire.Push
	for m, err := range wire.ParseFrame(frame) {
		if err == nil && len(in.messages) == messagesMax {
			err = errManyMessages
		}
		if err != nil {
			d.counters.malformed.Add(1)
			in.mistake = err.Error()
			break
		}
		if p, ok := m.(*wire.Push); ok {
			pushes = append(pushes, p)
		}
		in.messages = append(in.messages, m)
	}
	if len(pushes) > 0 && !d.admit(in, pushes) {
		return
	}
	d.post(in)
}

// admit waits for room for the pushes' batches, verifies them, and takes those
// that must not go further out of in. It returns false if the driver closes.
func (d *Driver) admit(in *received, pushes []*wire.Push) bool {
	if d.journal.err() != nil {
		// Nothing can be stored: word of heads tells later what to repair, while
		// what else peers ask of us is answered now.
		d.counters.unstorable.Add(uint64(len(pushes)))
		in.drop(pushes)
		return true
	}
	bytes := 0
	for _, p := range pushes {
		bytes += p.Batch.Size()
	}
	if !d.budget.take(in.from, bytes, d.stop) {
		return false
	}
	errs := d.verifyAll(pushes)
	var bad []*wire.Push
	for i, err := range errs {
		if err != nil {
			d.counters.unverified.Add(1)
			in.mistake = err.Error()
			d.budget.give(in.from, pushes[i].Batch.Size())
			bad = append(bad, pushes[i])
		}
	}
	in.drop(bad)
	return true
}

// verifyAll verifies the pushes' batches, each on a goroutine of its own if
// there are several, as many at once as there are slots. It returns an error
// for each that is not authentic.
func (d *Driver) verifyAll(pushes []*wire.Push) []error {
	errs := make([]error, len(pushes))
	var wg sync.WaitGroup
	for i, p := range pushes {
		if known := d.recent.get(p.Batch.ID); known != nil {
			// The same header; the bytes that were verified replace these.
			p.Batch = known
			d.counters.verifySkipped.Add(1)
			continue
		}
		d.counters.verified.Add(1)
		d.verify <- struct{}{}
		check := func() {
			errs[i] = p.Batch.Verify(d.cfg.Network)
			<-d.verify
		}
		if i == len(pushes)-1 {
			check()
			continue
		}
		wg.Go(check)
	}
	wg.Wait()
	return errs
}

// received is a frame's messages. It is an input of the loop.
type received struct {
	from     wire.PeerID
	messages []wire.Message
	mistake  string // of form or signature; empty: none
}

// drop takes pushes out of the messages.
func (in *received) drop(pushes []*wire.Push) {
	if len(pushes) == 0 {
		return
	}
	kept := in.messages[:0]
	for _, m := range in.messages {
		p, ok := m.(*wire.Push)
		if ok && slices.Contains(pushes, p) {
			continue
		}
		kept = append(kept, m)
	}
	in.messages = kept
}

func (in *received) apply(d *Driver) {
	for _, m := range in.messages {
		if p, ok := m.(*wire.Push); ok {
			if _, twice := d.arrived[p.Batch.ID]; twice {
				d.budget.give(in.from, p.Batch.Size())
			} else {
				d.arrived[p.Batch.ID] = arrival{p.Batch, in.from}
			}
		}
		d.core.Receive(in.from, m)
	}
	if in.mistake != "" {
		d.core.Misbehaved(in.from, in.mistake)
	}
}
