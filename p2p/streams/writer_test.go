package streams

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// slowSink is a stream whose other end takes bytes only when told to.
type slowSink struct {
	net.Conn
	mu     sync.Mutex // guards writes
	writes int
}

func (s *slowSink) Write(b []byte) (int, error) {
	s.mu.Lock()
	s.writes++
	s.mu.Unlock()
	return s.Conn.Write(b)
}

// newTestWriter returns a running writer and the other end of its stream.
func newTestWriter(t *testing.T) (*writer, *slowSink, net.Conn) {
	near, far := net.Pipe()
	s := &slowSink{Conn: near}
	done := make(chan struct{})
	w := newWriter(s, done, func(err error) {
		if !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("the writer failed: %v", err)
		}
	}, func(int, int) {})
	var wg sync.WaitGroup
	wg.Go(w.run)
	t.Cleanup(func() {
		close(done)
		_ = near.Close()
		_ = far.Close()
		wg.Wait()
	})
	return w, s, far
}

func (w *writer) mustSend(t *testing.T, parts ...[]byte) {
	t.Helper()
	if err := w.send(t.Context(), len(bytes.Join(parts, nil)), parts); err != nil {
		t.Fatalf("send: %v", err)
	}
}

func TestSmallFramesGather(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s, far := newTestWriter(t)
		w.mustSend(t, []byte("first"))
		synctest.Wait() // the first write is under way and blocked
		for range 100 {
			w.mustSend(t, []byte("more"), []byte(" of it"))
		}
		r := newFrameReader(far, 1<<20)
		for i := range 101 {
			if frame, _, err := r.next(); err != nil || i > 0 && string(frame) != "more of it" {
				t.Fatalf("frame %d: %q, %v", i, frame, err)
			}
		}
		if s.writes != 2 {
			t.Errorf("%d writes, want 2", s.writes)
		}
	})
}

func TestSendWaitsForRoomAndEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _, far := newTestWriter(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		frame := make([]byte, 10<<10)
		sent := 0
		for w.send(ctx, len(frame), [][]byte{frame}) == nil {
			sent++
		}
		if sent == 0 || sent > 2*pendingMax/len(frame)+1 {
			t.Errorf("%d frames of %d bytes were taken", sent, len(frame))
		}
		r := newFrameReader(far, 1<<20)
		for range sent {
			if got, _, err := r.next(); err != nil || len(got) != len(frame) {
				t.Fatalf("frame of %d bytes, %v", len(got), err)
			}
		}
	})
}

func TestFrameGivenUpInTheMiddleIsCompleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _, far := newTestWriter(t)
		w.mustSend(t, []byte("before"))
		head, body := []byte("head "), bytes.Repeat([]byte("body"), 100<<10)
		want := append(append([]byte(nil), head...), body...)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		r := newFrameReader(far, 1<<20)
		if got, _, err := r.next(); err != nil || string(got) != "before" {
			t.Fatalf("got %q, %v", got, err)
		}
		ended := make(chan error, 1)
		go func() { ended <- w.send(ctx, len(want), [][]byte{head, body}) }()
		synctest.Wait()
		if _, err := r.r.Peek(100); err != nil { // the frame has begun
			t.Fatal(err)
		}
		if err := <-ended; !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("send: %v, want DeadlineExceeded", err)
		}
		clear(body) // Send has returned: the bytes are the caller's again
		w.mustSend(t, []byte("after"))
		if got, _, err := r.next(); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("the frame came as %d bytes, %v; want %d", len(got), err, len(want))
		}
		if got, _, err := r.next(); err != nil || string(got) != "after" {
			t.Errorf("then came %q, %v", got, err)
		}
	})
}

func TestOneSignOfLifeWaitsAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _, far := newTestWriter(t)
		w.mustSend(t, []byte("first"))
		synctest.Wait() // the first write is under way and blocked
		for range 3 {
			w.keepAlive() // one is enough
		}
		r := newFrameReader(far, 1<<20)
		if frame, control, err := r.next(); err != nil || control || string(frame) != "first" {
			t.Fatalf("first came %q, control %v, %v", frame, control, err)
		}
		if frame, control, err := r.next(); err != nil || !control || len(frame) != 0 {
			t.Fatalf("then came %q, control %v, %v; want a sign of life", frame, control, err)
		}
		w.mustSend(t, []byte("last"))
		if frame, control, err := r.next(); err != nil || control || string(frame) != "last" {
			t.Errorf("last came %q, control %v, %v", frame, control, err)
		}
	})
}

func TestTimeoutsAreKnown(t *testing.T) {
	if !isTimeout(os.ErrDeadlineExceeded) || isTimeout(io.EOF) {
		t.Error("isTimeout is wrong")
	}
}
