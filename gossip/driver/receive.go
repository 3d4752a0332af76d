package driver

import (
	"fmt"
	"runtime"
	"slices"
	"sync"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/wire"
)

// errManyMessages refuses a frame whose messages would keep the loop busy.
var errManyMessages = fmt.Errorf("%w: more than %d messages in a frame", wire.ErrTooLarge, messagesMax)

// receiver is what one carrier calls. Parsing and verifying happen here, on the
// carrier's goroutines; when the node cannot follow, they wait here, and the
// carrier reads no more from that peer.
type receiver struct {
	d        *Driver
	carrier  carrier.Carrier
	numbered bool // pushes over it may be short

	mu   sync.Mutex // guards the field below
	told map[wire.PeerID]*numbersTold
}

func newReceiver(d *Driver, c carrier.Carrier) *receiver {
	return &receiver{d: d, carrier: c, numbered: numbersPushes(c.Traits()), told: map[wire.PeerID]*numbersTold{}}
}

// numbersPushes reports whether pushes over a carrier may give numbers: each reaches the
// one peer, in order.
func numbersPushes(t carrier.Traits) bool { return t.Reliable && !t.Many }

func newVerifySlots() chan struct{} { return make(chan struct{}, runtime.GOMAXPROCS(0)) }

// LinkUp implements [carrier.Handler].
func (r *receiver) LinkUp(l carrier.Link) {
	if r.numbered {
		r.mu.Lock()
		r.told[l.Peer] = &numbersTold{}
		r.mu.Unlock()
	}
	r.d.post(linkUp{r.carrier, l})
}

// LinkDown implements [carrier.Handler].
func (r *receiver) LinkDown(peer wire.PeerID, reason error) {
	r.mu.Lock()
	delete(r.told, peer)
	r.mu.Unlock()
	r.d.post(linkDown{r.carrier, peer, reason})
}

// Frame implements [carrier.Handler].
func (r *receiver) Frame(from wire.PeerID, lane carrier.Lane, frame []byte) {
	r.SegmentFrame("", from, lane, frame)
}

// SegmentFrame implements [carrier.SegmentHandler].
func (r *receiver) SegmentFrame(segment, from wire.PeerID, lane carrier.Lane, frame []byte) {
	d := r.d
	d.counters.framesIn.Add(1)
	d.counters.bytesIn.Add(uint64(len(frame)))
	in := &received{from: from, source: sourceOf(r.carrier, from), carrier: r.carrier, segment: segment, lane: lane}
	pushes, err := r.read(in, frame)
	if err != nil {
		d.counters.malformed.Add(1)
		in.mistake = err.Error()
	}
	if len(pushes) > 0 && !d.admit(in, pushes) {
		return
	}
	d.post(in)
}

// read reads the frame's messages into in, up to the first mistake of form, and
// returns the pushes among them.
func (r *receiver) read(in *received, frame []byte) (pushes []*wire.Push, err error) {
	d, told := r.d, r.toldBy(in)
	n, records := 0, 0
	for m, err := range wire.ParseFrame(frame) {
		if err != nil {
			return pushes, err
		}
		if n++; n > messagesMax {
			return pushes, errManyMessages
		}
		switch m := m.(type) {
		case *wire.Push:
			told.note(m)
			pushes = append(pushes, m)
		case *wire.ShortPush:
			p, err := d.restorePush(told, m)
			if err != nil {
				return pushes, err
			}
			if p != nil {
				pushes = append(pushes, p)
				in.messages = append(in.messages, p)
			}
			continue
		case *wire.Part:
			if p := d.assemble(in, m); p != nil {
				pushes = append(pushes, p)
			}
			continue
		case *wire.Served: // ends the answer: what of it is not whole now was cut off
			d.assembly.cutOff(in.source)
		case *wire.Shuffle:
			if records += len(m.Records); records > recordsMax {
				return pushes, errManyRecords
			}
			if err := d.checkRecords(m); err != nil {
				in.mistake = err.Error()
				continue
			}
		}
		in.messages = append(in.messages, m)
	}
	return pushes, nil
}

// toldBy returns the numbers that hold for the frame's short pushes. The frames of one
// peer and lane come one at a time, so nobody else uses them meanwhile.
func (r *receiver) toldBy(in *received) *numbersTold {
	if in.lane != carrier.News {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.told[in.from]
}

// restorePush returns the push that a short one stands for, or nil if its number stands
// for nothing. An error is a mistake of form.
func (d *Driver) restorePush(told *numbersTold, m *wire.ShortPush) (*wire.Push, error) {
	run, ok := told.run(m.Number)
	if !ok {
		d.counters.pushesUnknown.Add(1)
		return nil, nil
	}
	b, err := m.Restore(d.cfg.Network, run)
	if err != nil {
		return nil, err
	}
	return &wire.Push{Batch: b}, nil
}

// assemble adds a part, and what the core is to hear of it to in: that the
// transfer goes on, and the batch once it is whole, which is returned.
func (d *Driver) assemble(in *received, m *wire.Part) *wire.Push {
	if d.journal.err() != nil {
		d.counters.partsDropped.Add(1) // it cannot be stored
		return nil
	}
	if known := d.recent.get(m.Batch); known != nil {
		// It came in another way meanwhile. Who was asked for it serves all the
		// same, as one that sends the whole of it a second time does.
		d.counters.partsDropped.Add(1)
		in.parts = append(in.parts, partNote{m.Batch, &known.Header, len(m.Data)})
		if int(m.Offset)+len(m.Data) < known.Size() {
			return nil
		}
		push := &wire.Push{Batch: known, Repair: in.lane == carrier.Repair}
		in.messages = append(in.messages, push)
		return push
	}
	p := d.assembly.add(in.source, m)
	if p.mistake != "" {
		d.counters.unverified.Add(1)
		in.mistake = p.mistake
	}
	if p.moved {
		in.parts = append(in.parts, partNote{m.Batch, p.head, len(m.Data)})
	}
	if p.raw == nil {
		return nil
	}
	b, err := wire.ParseBatch(p.raw)
	if err != nil {
		d.falseBatch(in, m.Batch, p.mixed, err)
		return nil
	}
	push := &wire.Push{Batch: b, Repair: in.lane == carrier.Repair}
	if p.mixed {
		in.mixed = append(in.mixed, push)
	}
	in.messages = append(in.messages, push)
	return push
}

// falseBatch notes a batch that is not authentic: a mistake of the peer's,
// unless it came in parts of several.
func (d *Driver) falseBatch(in *received, id wire.BatchID, mixed bool, err error) {
	d.counters.unverified.Add(1)
	if mixed {
		d.assembly.spoiled(id)
		in.spoiled = true
		return
	}
	in.mistake = err.Error()
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
			d.falseBatch(in, pushes[i].Batch.ID, slices.Contains(in.mixed, pushes[i]), err)
			d.budget.give(in.from, pushes[i].Batch.Size())
			bad = append(bad, pushes[i])
			continue
		}
		d.assembly.settled(pushes[i].Batch.ID)
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
	source   wire.PeerID     // the same, with how it came, see [link.source]
	carrier  carrier.Carrier // that it came by
	segment  wire.PeerID     // of the carrier's, if it told
	lane     carrier.Lane
	messages []wire.Message
	parts    []partNote   // that came, and were of use
	mixed    []*wire.Push // of the messages, those of several peers' parts
	spoiled  bool         // one of those was false
	mistake  string       // of form or signature; empty: none
}

// partNote is what the core is told of a part: not its bytes, which may not
// wait for the loop.
type partNote struct {
	id    wire.BatchID
	head  *wire.Header // nil: not here yet
	bytes int
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

// tellPartials tells the core how much is kept of batches whose transfer was
// cut off. It comes before the news of what cut it off, which makes the core
// ask anew.
func (d *Driver) tellPartials() {
	for _, p := range d.assembly.take() {
		d.core.Partial(p.id, p.head, p.offset)
	}
}

func (in *received) apply(d *Driver) {
	d.tellPartials()
	if in.spoiled {
		d.core.Spoiled(in.from) // before the end of the answer, which may be in the same frame
	}
	if segment := d.segmentOf(in); segment != "" && len(in.parts) > 0 {
		d.core.HeardOn(segment, in.from)
	}
	for i := range in.parts {
		d.core.PartArrived(in.from, in.parts[i].id, in.parts[i].head, in.parts[i].bytes)
	}
	for _, m := range in.messages {
		if p, ok := m.(*wire.Push); ok {
			if _, twice := d.arrived[p.Batch.ID]; twice {
				d.budget.give(in.from, p.Batch.Size())
			} else {
				d.arrived[p.Batch.ID] = arrival{p.Batch, in.from}
			}
		}
		d.receive(in, m)
	}
	if in.mistake != "" {
		d.core.Misbehaved(in.from, in.mistake)
	}
}
