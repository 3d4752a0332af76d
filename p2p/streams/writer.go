package streams

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/busnode/busnode/gossip/carrier"
)

const (
	gatherMax  = 16 << 10 // larger frames are written from the caller's bytes
	pendingMax = 64 << 10 // small frames that wait for the stream
	// partGatherMax is the largest part that is copied to save a write: each
	// write to a multiplexed and encrypted stream has a price of its own.
	partGatherMax = 4 << 10
)

// sink is what a writer writes to: a stream.
type sink interface {
	io.Writer
	SetWriteDeadline(time.Time) error
}

// writer puts frames on a stream. Small ones gather while the stream is busy
// and leave in one write; large ones are written from their caller's bytes.
// What a caller gave up in the middle of is copied and completed, for a frame
// that was begun must be finished.
type writer struct {
	sink sink
	fail func(error) // the stream is broken; called without a lock
	// wrote hears how many bytes the sink took, and how many of control frames
	// are on their way to it; called by who has the turn.
	wrote func(bytes, control int)
	turn  chan struct{}   // holds one token; who has it may write to sink, and owns rest
	wake  chan struct{}   // something is pending
	room  chan struct{}   // the pending frames were taken
	done  <-chan struct{} // the link is down

	rest []byte // of frames that were begun; guarded by turn

	mu      sync.Mutex // guards the fields below
	pending []byte
	control int // bytes of control frames in pending
	spare   []byte
}

func newWriter(s sink, done <-chan struct{}, fail func(error), wrote func(bytes, control int)) *writer {
	w := &writer{
		sink: s, fail: fail, wrote: wrote, done: done,
		turn: make(chan struct{}, 1), wake: make(chan struct{}, 1), room: make(chan struct{}, 1),
	}
	w.turn <- struct{}{}
	return w
}

// run writes what gathers, until the link is down.
func (w *writer) run() {
	for {
		select {
		case <-w.wake:
		case <-w.done:
			return
		}
		select {
		case <-w.turn:
		case <-w.done:
			return
		}
		err := w.flush(nil)
		w.turn <- struct{}{}
		if err != nil {
			w.fail(err)
			return
		}
	}
}

// send sends a frame of length bytes, given in parts. One call at a time.
// An error other than ctx's cause means that the link is going down.
func (w *writer) send(ctx context.Context, length int, parts [][]byte) error {
	if length > gatherMax {
		return w.sendLarge(ctx, length, parts)
	}
	for {
		if w.gather(length, parts) {
			return nil
		}
		select {
		case <-w.room:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-w.done:
			return carrier.ErrNoLink
		}
	}
}

// gather appends a frame to what is pending, if there is room.
func (w *writer) gather(length int, parts [][]byte) bool {
	w.mu.Lock()
	fits := len(w.pending)+length <= pendingMax
	if fits {
		w.pending = appendFrameHead(w.pending, length)
		for _, p := range parts {
			w.pending = append(w.pending, p...)
		}
	}
	w.mu.Unlock()
	if fits {
		signal(w.wake)
	}
	return fits
}

// sendControl sends a control frame unless the stream is busy: then the peer
// hears from us anyway.
func (w *writer) sendControl(body ...byte) { w.addControl(pendingMax-1, body) }

// keepAlive sends a sign of life unless something waits to be sent, which is
// as good a sign.
func (w *writer) keepAlive() { w.addControl(0, nil) }

// addControl appends a control frame to what is pending, if that is no more
// than pendingLimit bytes.
func (w *writer) addControl(pendingLimit int, body []byte) {
	w.mu.Lock()
	before := len(w.pending)
	fits := before <= pendingLimit
	if fits {
		w.pending = appendControl(w.pending, body...)
		w.control += len(w.pending) - before
	}
	w.mu.Unlock()
	if fits {
		signal(w.wake)
	}
}

func (w *writer) sendLarge(ctx context.Context, length int, parts [][]byte) error {
	select {
	case <-w.turn:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-w.done:
		return carrier.ErrNoLink
	}
	release := cutShort(ctx, w.sink)
	err := w.flush(func(head []byte) ([]byte, [][]byte) {
		head = appendFrameHead(head, length)
		for len(parts) > 0 && len(parts[0]) <= partGatherMax && len(head) <= 2*pendingMax {
			head, parts = append(head, parts[0]...), parts[1:]
		}
		return head, parts
	})
	release()
	owed := len(w.rest) > 0
	w.turn <- struct{}{}
	if owed {
		signal(w.wake)
	}
	if err != nil && ctx.Err() != nil && isTimeout(err) {
		return context.Cause(ctx)
	}
	if err != nil {
		w.fail(err)
		return carrier.ErrNoLink
	}
	return nil
}

// flush writes the rest, what is pending, and the frame that more appends to
// that, if it is not nil. The caller has the turn. After an error w.rest has
// what is still to be written of the frames that were begun, or may have been.
func (w *writer) flush(more func([]byte) ([]byte, [][]byte)) error {
	if n, err := w.write(w.rest); err != nil {
		w.rest = append([]byte(nil), w.rest[n:]...)
		return err
	}
	w.rest = nil
	w.mu.Lock()
	head, control := w.pending, w.control
	w.pending, w.control, w.spare = w.spare[:0], 0, nil
	w.mu.Unlock()
	signal(w.room)
	w.wrote(0, control)

	var parts [][]byte
	if more != nil {
		head, parts = more(head)
	}
	n, err := w.write(head)
	if err != nil {
		w.rest = append(w.rest, head[n:]...)
	}
	w.mu.Lock()
	w.spare = head[:0]
	w.mu.Unlock()
	for _, p := range parts {
		n = 0
		if err == nil {
			n, err = w.write(p)
		}
		if err != nil {
			w.rest = append(w.rest, p[n:]...)
		}
	}
	return err
}

func (w *writer) write(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	n, err := w.sink.Write(b)
	w.wrote(n, 0)
	return n, err
}

// cutShort makes a blocked write to s return when ctx is done. The function
// that it returns ends that, and must be called.
func cutShort(ctx context.Context, s sink) (release func()) {
	if ctx.Done() == nil {
		return func() {}
	}
	fired := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(fired)
		_ = s.SetWriteDeadline(time.Unix(1, 0)) // fails on a broken stream: then no write blocks
	})
	return func() {
		if stop() {
			return
		}
		<-fired
		_ = s.SetWriteDeadline(time.Time{}) // as above
	}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// signal wakes the one that waits on c, now or when it comes to wait.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
