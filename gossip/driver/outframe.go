package driver

import (
	"errors"
	"time"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/eventlog"
	"github.com/busnode/busnode/gossip/wire"
)

// outFrame gathers parcels into one frame, without copying batches.
type outFrame struct {
	box   *outbox
	parts [][]byte
	ids   []wire.BatchID // of the pushes and parts in it
	whole int            // pushes, and batches whose last part is in it
	short int            // of these, short pushes
	cut   int            // parts
	bytes int

	scratch []byte // holds the form of pushes, and parts with their bytes; reused, for a carrier keeps none
}

// frameOverhead is more than the form of a push adds to a batch.
const frameOverhead = 32

// partOverhead is more than the form of a part adds to its bytes.
const partOverhead = 72

// add adds a parcel; what has no room in the frame is sent first.
func (f *outFrame) add(p *parcel) {
	if p.control != nil {
		f.room(len(p.control), f.box.frameMax)
		f.parts = append(f.parts, p.control)
		f.bytes += len(p.control)
		return
	}
	b := f.box.load(p)
	if b == nil {
		return
	}
	if p.offset > 0 || p.parts || b.Size() > f.box.wholeMax {
		f.addParts(p, b.Raw)
		return
	}
	f.room(b.Size()+frameOverhead, f.box.frameMax)
	start := len(f.scratch)
	rest := f.beginPush(b)
	prefix := f.scratch[start:]
	f.parts = append(f.parts, prefix, rest)
	f.ids = append(f.ids, p.id)
	f.whole++
	f.bytes += len(prefix) + len(rest)
}

// beginPush appends to scratch what a push of the batch begins with, and returns the
// rest of it.
func (f *outFrame) beginPush(b *wire.Batch) (rest []byte) {
	o := f.box
	if !o.numbered || b.Size() > shortPushMaxBytes {
		f.scratch = wire.PushPrefix(f.scratch, b.Size(), o.lane == carrier.Repair)
		return b.Raw
	}
	run := b.Header.Run()
	number := o.numbers.numbers[run]
	if number == 0 {
		number = o.numbers.give(run)
	} else if short, ok := b.Shorten(number); ok {
		f.scratch = short.AppendPrefix(f.scratch)
		f.short++
		return b.Body
	}
	f.scratch = wire.NumberedPushPrefix(f.scratch, b.Size(), number)
	return b.Raw
}

// addParts sends a batch from the parcel's offset on, part by part: a frame
// each, so that a link that is cut loses little of what was sent. The last one
// is left for what follows to join. A peer that claims to have more than there
// is, is sent all.
func (f *outFrame) addParts(p *parcel, raw []byte) {
	o := f.box
	at := p.offset
	if at >= len(raw) {
		at = 0
	}
	f.room(o.partMax+partOverhead, o.partMax+partOverhead)
	for {
		n := min(o.partMax, len(raw)-at)
		start := len(f.scratch)
		f.scratch = wire.AppendMessage(f.scratch, &wire.Part{
			Batch: p.id, Size: uint32(len(raw)), Offset: uint32(at), Data: raw[at : at+n],
		})
		part := f.scratch[start:]
		f.parts = append(f.parts, part)
		f.ids = append(f.ids, p.id)
		f.bytes += len(part)
		f.cut++
		if at += n; at == len(raw) {
			f.whole++
			return
		}
		if !f.flush() {
			return // the core was told that the batch did not leave
		}
	}
}

// room sends the frame first if n bytes more make it larger than limit.
func (f *outFrame) room(n, limit int) {
	if f.bytes > 0 && f.bytes+n > limit {
		f.flush()
	}
}

// flush sends the frame, and reports whether the carrier took it.
func (f *outFrame) flush() bool {
	o := f.box
	if f.bytes == 0 || o.ctx.Err() != nil {
		f.reset()
		return false
	}
	err := o.carrier.Send(o.ctx, o.to, o.lane, f.parts...)
	switch {
	case err == nil:
		o.pushed = o.pushed || len(f.ids) > 0
		o.d.counters.framesOut.Add(1)
		o.d.counters.bytesOut.Add(uint64(f.bytes))
		o.d.counters.pushesOut.Add(uint64(f.whole))
		o.d.counters.pushesShort.Add(uint64(f.short))
		o.d.counters.partsOut.Add(uint64(f.cut))
	case o.ctx.Err() != nil:
		// The link went down: the core knows that nothing more arrives.
	default:
		o.d.counters.sendFailed.Add(1)
		o.numbers.forget() // those that the frame gave were not told
		if errors.Is(err, carrier.ErrNoLink) || errors.Is(err, carrier.ErrClosed) {
			// Word of it is on its way. A carrier that does not send any shall not
			// mute the link for good.
			timer := time.NewTimer(linkDownWait)
			defer timer.Stop()
			select {
			case <-o.ctx.Done():
			case <-timer.C:
			}
		}
		if len(f.ids) > 0 {
			o.d.reports.add(sendFailed{o.to, o.lane, f.ids})
			f.ids = nil
		}
	}
	f.reset()
	return err == nil
}

func (f *outFrame) reset() {
	clear(f.parts)
	f.parts, f.ids, f.scratch = f.parts[:0], f.ids[:0], f.scratch[:0]
	f.whole, f.short, f.cut, f.bytes = 0, 0, 0, 0
}

// load returns a push's batch, from the log if it is not at hand; nil if it is gone.
func (o *outbox) load(p *parcel) *wire.Batch {
	if p.batch != nil {
		return p.batch
	}
	if b := o.d.recent.get(p.id); b != nil {
		return b
	}
	b, err := o.d.cfg.Log.Batch(p.id)
	switch {
	case err == nil:
		o.d.counters.pushesFromLog.Add(1)
		return b
	case errors.Is(err, eventlog.ErrDamaged):
		o.d.reports.add(damaged{p.id})
	default:
		o.d.counters.pushesGone.Add(1) // trimmed since the core named it
	}
	return nil
}
