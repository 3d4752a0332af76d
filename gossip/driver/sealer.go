package driver

import (
	"github.com/busnode/busnode/gossip/eventlog"
	"github.com/busnode/busnode/gossip/wire"
)

// sealer hashes and signs the sequencer's batches, off the goroutines of those
// who publish, and hands them to the log. There is one: a signature takes 21 µs,
// and what waits meanwhile makes the next batches larger.
type sealer struct {
	seq      *sequencer
	signer   wire.Signer
	network  string
	compress bool
	publish  func(*sealed) // told of each batch that was written; must not block
}

// sealed is a batch of our own that was handed to the log.
type sealed struct {
	open  *openBatch
	batch *wire.Batch
}

// run seals batches until the sequencer is drained.
func (s *sealer) run() {
	for {
		b, prev := s.seq.take()
		if b == nil {
			return
		}
		s.seal(b, prev)
	}
}

// take waits for a batch to seal and returns it under a reservation of the
// journal, or nil when there will be none any more.
func (s *sequencer) take() (*openBatch, wire.Prev) {
	for {
		s.mu.Lock()
		if len(s.ready) == 0 && s.draining {
			s.mu.Unlock()
			return nil, wire.Prev{}
		}
		if len(s.ready) > 0 && s.unwritten < unwrittenMaxBytes {
			t := s.ready[0]
			s.ready = s.ready[1:]
			t.queued = false
			b := t.detach()
			if b != nil {
				t.inflight++
				prev := t.prev
				s.mu.Unlock()
				if err := s.journal.reserve(); err != nil {
					s.abandon(b, err)
					continue
				}
				return b, prev
			}
			s.mu.Unlock()
			continue // it failed meanwhile
		}
		s.mu.Unlock()
		<-s.wake
	}
}

// abandon fails a batch that did not get as far as the log, and what was
// numbered after it.
func (s *sequencer) abandon(b *openBatch, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := b.topic
	t.inflight--
	t.next = b.first
	s.settle(b, err)
	if later := t.detach(); later != nil {
		s.settle(later, err)
	}
}

func (s *sealer) seal(b *openBatch, prev wire.Prev) {
	q, t := s.seq, b.topic
	h := wire.Header{
		Network: s.network, Topic: t.name, Epoch: q.epoch, First: b.first, Count: b.count,
		Prev: prev, Time: b.time, Kind: wire.KindEvents,
	}
	body := b.body
	if s.compress {
		if packed, ok := wire.Compress(body); ok {
			body, h.Compression = packed, wire.CompressionZstd
		}
	}
	batch, err := wire.Seal(h, body, s.signer)
	if err != nil {
		q.journal.give()
		q.abandon(b, err)
		return
	}
	out := &sealed{b, batch}
	q.mu.Lock()
	t.prev = wire.Prev{Mark: batch.Header.End(), Time: b.time}
	q.unwritten += batch.Size()
	q.reuse(b.body)
	b.body = nil
	q.mu.Unlock()
	ops := []eventlog.Op{{Kind: eventlog.OpBatch, Batch: batch}, {Kind: eventlog.OpRelease, ID: batch.ID}}
	q.journal.append(ops,
		func(err error) { s.written(out, err) },
		func(err error) { q.durable(out, err) })
}

// written notes that the log has the batch, or why it has not.
func (s *sealer) written(out *sealed, err error) {
	q, t := s.seq, out.open.topic
	q.mu.Lock()
	q.unwritten -= out.batch.Size()
	if err != nil {
		t.inflight--
		q.settle(out.open, err)
	} else {
		t.writtenNext = out.batch.Header.Last() + 1
		t.writtenPrev = wire.Prev{Mark: out.batch.Header.End(), Time: out.batch.Header.Time}
	}
	q.nudge()
	q.mu.Unlock()
	if err == nil {
		q.counters.published.Add(uint64(out.open.count))
		q.counters.publishedBatches.Add(1)
		s.publish(out)
	}
}

func (s *sequencer) durable(out *sealed, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle(out.open, err)
}

// told notes that the core knows of the batch: the next one may follow.
func (s *sequencer) told(out *sealed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := out.open.topic
	t.inflight--
	s.offer(t)
}

// drain refuses new events and lets the sealer end once all are sealed.
func (s *sequencer) drain(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.setRefusal(causeClosed, err)
	s.draining = true
	for _, t := range s.topics {
		s.offer(t)
	}
	s.nudge()
}

// logFailed fails what is open: its numbers follow those of batches that did
// not get into the log.
func (s *sequencer) logFailed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.setRefusal(causeLog, err)
	for _, t := range s.topics {
		if b := t.detach(); b != nil {
			s.settle(b, err)
		}
	}
}

// logRetry lets publishing go on. Nothing is under way: each topic goes on
// after the last batch that was written, and the numbers of those that were
// not are given out anew, for no such batch left the node.
func (s *sequencer) logRetry() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.topics {
		if t.open == nil {
			t.next, t.prev = t.writtenNext, t.writtenPrev
		}
	}
	s.setRefusal(causeLog, nil)
}
