package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/busnode/busnode/bus"
)

const (
	streamBufMax = 1 << 20  // bytes of lines that wait for the client to read
	unackedMax   = 64 << 10 // events of a durable subscription that wait for the client's receipt
)

// subscribe streams a subscription. Lines gather while the client reads, so a
// busy stream costs a write a buffer, not one an event.
func (s *Server) subscribe(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	filter, durable := q.Get("filter"), q.Get("durable")
	from, err := placeOf(q.Get("from"), filter, time.Now())
	if err != nil {
		writeError(w, err)
		return
	}
	var opts []bus.SubscribeOption
	if durable != "" {
		opts = append(opts, bus.Durable(durable))
	}
	sub, err := bus.SubscribeFilter(r.Context(), s.bus, filter, bus.Bytes{}, from, opts...)
	if err != nil {
		writeError(w, err)
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	st := newStream(sub, durable != "", cancel)
	name := s.register(st)
	defer s.unregister(name)
	defer close(st.closed)
	defer sub.Close()
	w.Header().Set("Content-Type", linesType)
	w.Header().Set(subscriptionHeader, name)
	w.WriteHeader(http.StatusOK)
	flush := http.NewResponseController(w).Flush
	if flush() != nil {
		return // the client left
	}
	fillErr := make(chan error, 1)
	go func() { fillErr <- st.fill(ctx) }()
	if st.drain(w, flush) != nil {
		st.abandon() // the client left
	}
	if err := <-fillErr; err != nil && ctx.Err() == nil {
		_ = json.NewEncoder(w).Encode(errorReply{AsError(err)}) // the client left
	}
}

// unsubscribe ends a stream, and answers once its name is free again.
func (s *Server) unsubscribe(w http.ResponseWriter, r *http.Request) {
	if st := s.stream(r.FormValue("subscription")); st != nil {
		st.abandon()
		select {
		case <-st.closed:
		case <-r.Context().Done():
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) register(st *stream) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	name := strconv.FormatUint(s.next, 10)
	s.streams[name] = st
	return name
}

func (s *Server) unregister(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.streams, name)
}

func (s *Server) stream(name string) *stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.streams[name]
}

func (s *Server) ack(w http.ResponseWriter, r *http.Request) {
	name := r.FormValue("subscription")
	st := s.stream(name)
	lines, err := strconv.Atoi(r.FormValue("lines"))
	switch {
	case st == nil:
		writeError(w, errorf(CodeNotFound, "no subscription stream %q is open", name))
		return
	case err != nil || lines < 0:
		writeError(w, errorf(CodeUsage, "ack: %q is no number of lines", r.FormValue("lines")))
		return
	}
	if err := st.ack(r.Context(), lines); err != nil {
		writeError(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// stream is one open subscription: fill turns its events into lines, drain
// writes them, ack takes the client's receipts.
type stream struct {
	sub     *bus.Subscription[[]byte]
	durable bool
	cancel  context.CancelFunc // ends fill
	closed  chan struct{}      // closed when the subscription is

	mu      sync.Mutex // guards the fields below
	changed sync.Cond
	buf     []byte
	unacked []bus.Event[[]byte] // topics and offsets alone; gaps have them too
	ended   bool                // fill has ended
	left    bool                // the client has left
}

func newStream(sub *bus.Subscription[[]byte], durable bool, cancel context.CancelFunc) *stream {
	st := &stream{sub: sub, durable: durable, cancel: cancel, closed: make(chan struct{})}
	st.changed.L = &st.mu
	return st
}

// fill appends a line for each event until the subscription or ctx ends. It
// returns why the subscription ended.
func (st *stream) fill(ctx context.Context) error {
	defer st.signal(func() { st.ended = true })
	var headers []Header
	for ev, err := range st.sub.Events(ctx) {
		gap, last := mishap(err)
		if last != nil {
			return last
		}
		if !st.room() {
			return nil
		}
		st.mu.Lock()
		if gap != nil {
			st.buf = appendGap(st.buf, gap)
		} else {
			headers = headersOf(headers[:0], ev.Headers)
			st.buf = AppendEvent(st.buf, &Event{
				Topic: ev.Topic, Author: string(ev.ID.Author), Epoch: ev.ID.Epoch, Seq: ev.ID.Seq, Offset: ev.Offset,
				Time: ev.Time, Key: keyOf(&ev), Headers: headers, Payload: ev.Payload, Late: ev.Late,
			})
		}
		if st.durable {
			st.unacked = append(st.unacked, bus.Event[[]byte]{Topic: ev.Topic, Offset: ev.Offset})
		}
		st.changed.Broadcast()
		st.mu.Unlock()
	}
	return nil
}

// keyOf returns nil for no key and an empty slice for an empty one.
func keyOf(ev *bus.Event[[]byte]) []byte {
	if ev.HasKey && ev.Key == nil {
		return []byte{}
	}
	return ev.Key
}

func headersOf(dst []Header, hs []bus.EventHeader) []Header {
	for _, h := range hs {
		dst = append(dst, Header{Name: h.Name, Value: h.Value})
	}
	return dst
}

// mishap splits a sequence's error into one that is told as a gap and goes
// on, and one that is the last.
func mishap(err error) (*Gap, error) {
	if err == nil {
		return nil, nil
	}
	if gap, ok := errors.AsType[*bus.GapError](err); ok {
		return &Gap{
			Topic: gap.Topic, Author: string(gap.Author), Reason: gap.Reason, Lost: gap.Lost,
			From: &Mark{gap.From.Epoch, gap.From.Seq}, To: &Mark{gap.To.Epoch, gap.To.Seq},
		}, nil
	}
	if lag, ok := errors.AsType[*bus.LagError](err); ok {
		return &Gap{Topic: lag.Topic, Reason: "gone from the log before it was read", Lost: lag.Lost}, nil
	}
	if bad, ok := errors.AsType[*bus.DecodeError](err); ok {
		id := bad.Event.ID
		return &Gap{
			Topic: id.Topic, Author: string(id.Author), Reason: "unreadable: " + bad.Err.Error(), Lost: bad.Count,
			From: &Mark{id.Epoch, id.Seq}, To: &Mark{id.Epoch, id.Seq + max(bad.Count, 1) - 1},
		}, nil
	}
	return nil, err
}

func appendGap(dst []byte, g *Gap) []byte {
	b, err := json.Marshal(struct {
		Gap *Gap `json:"gap"`
	}{g})
	if err != nil {
		panic(fmt.Sprintf("api: a gap has no JSON form: %v", err)) // strings and numbers always have one
	}
	return append(append(dst, b...), '\n')
}

// room waits until lines and receipts are within bounds; false if the client left.
func (st *stream) room() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	for !st.left && (len(st.buf) >= streamBufMax || len(st.unacked) >= unackedMax) {
		st.changed.Wait()
	}
	return !st.left
}

// drain writes lines until fill has ended and all are written, or an error.
func (st *stream) drain(w io.Writer, flush func() error) error {
	var out []byte
	for {
		st.mu.Lock()
		for len(st.buf) == 0 && !st.ended {
			st.changed.Wait()
		}
		out, st.buf = st.buf, out[:0]
		st.changed.Broadcast()
		st.mu.Unlock()
		if len(out) == 0 {
			return nil
		}
		if _, err := w.Write(out); err != nil {
			return err
		}
		if err := flush(); err != nil {
			return err
		}
	}
}

// abandon ends fill and, with it, drain.
func (st *stream) abandon() {
	st.cancel()
	st.signal(func() { st.left = true })
}

func (st *stream) signal(change func()) {
	st.mu.Lock()
	defer st.mu.Unlock()
	change()
	st.changed.Broadcast()
}

// ack acknowledges the next n lines: the newest event of each topic among them
// stands for those before it.
func (st *stream) ack(ctx context.Context, n int) error {
	st.mu.Lock()
	if n > len(st.unacked) {
		have := len(st.unacked)
		st.mu.Unlock()
		return errorf(CodeUsage, "ack of %d lines where %d are open; is the subscription durable?", n, have)
	}
	acked := append([]bus.Event[[]byte]{}, st.unacked[:n]...)
	st.unacked = append(st.unacked[:0], st.unacked[n:]...)
	st.changed.Broadcast()
	st.mu.Unlock()
	newest := map[string]bool{}
	for i := len(acked) - 1; i >= 0; i-- {
		if topic := acked[i].Topic; !newest[topic] {
			newest[topic] = true
			if err := st.sub.Ack(ctx, acked[i]); err != nil {
				return err
			}
		}
	}
	return nil
}
