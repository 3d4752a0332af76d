package api

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/busnode/busnode/bus"
)

// unheldMax bounds the IDs of one publish stream that wait for their events to be held.
const unheldMax = 64 << 10

// publish reads events, a line each, and answers with their IDs once they are
// held. Reading goes on while the log syncs what came before.
func (s *Server) publish(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	rc := http.NewResponseController(w)
	if err := rc.EnableFullDuplex(); err != nil {
		writeError(w, err)
		return
	}
	defer drain(rc, r.Body)
	topic, err := bus.TopicOf(s.bus, q.Get("topic"), bus.Bytes{})
	if err != nil {
		writeError(w, err)
		return
	}
	common, err := commonOptions(q)
	if err != nil {
		writeError(w, err)
		return
	}
	w.Header().Set("Content-Type", linesType)
	p := newPublisher(r.Context(), s.bus, topic, w, rc, q.Get("ids") != "none")
	readErr := p.read(r.Body, common)
	end := publishEnd{}
	if err := cmp.Or(p.finish(), readErr); err != nil {
		end.Error = AsError(err)
	}
	end.Published = p.published
	_ = json.NewEncoder(w).Encode(end) // fails if the client left
}

// publishEnd is the last line of a publish stream.
type publishEnd struct {
	Published
	Error *Error `json:"error,omitempty"`
}

// drainFor is how long a client may take to notice that its stream has failed.
const drainFor = 2 * time.Second

// drain sends the answer and reads what the client still sends until it has
// stopped: were the connection closed under its writing, it would lose the answer.
func drain(rc *http.ResponseController, body io.Reader) {
	if rc.Flush() != nil || rc.SetReadDeadline(time.Now().Add(drainFor)) != nil {
		return // the client left
	}
	_, _ = io.Copy(io.Discard, body) // ends with the stream, the deadline or the connection
}

// commonOptions returns what the query says about every event.
func commonOptions(q url.Values) ([]bus.EventOption, error) {
	var opts []bus.EventOption
	if q.Has("key") {
		opts = append(opts, bus.Key(q.Get("key")))
	}
	for _, h := range q["header"] {
		name, value, ok := strings.Cut(h, ":")
		if !ok || name == "" {
			return nil, errorf(CodeUsage, "header %q: write NAME:VALUE", h)
		}
		opts = append(opts, bus.Header(name, value))
	}
	return opts, nil
}

// publisher serves one publish stream: the handler's goroutine reads and
// publishes, another one waits for the log and answers.
type publisher struct {
	bus   *bus.Bus
	topic bus.Topic[[]byte]
	w     io.Writer
	rc    *http.ResponseController
	ids   bool // answer with each ID
	done  chan struct{}
	//nolint:containedctx // the stream's own, for the length of one request
	ctx    context.Context
	cancel context.CancelCauseFunc

	published Published // the answering goroutine's until done is closed

	mu      sync.Mutex // guards the fields below
	changed sync.Cond  // unheld or ended has changed
	unheld  []EventID
	ended   bool
	err     error // of the answering goroutine
}

func newPublisher(ctx context.Context, b *bus.Bus, topic bus.Topic[[]byte], w io.Writer, rc *http.ResponseController,
	ids bool,
) *publisher {
	p := &publisher{bus: b, topic: topic, w: w, rc: rc, ids: ids, done: make(chan struct{})}
	p.ctx, p.cancel = context.WithCancelCause(ctx)
	p.changed.L = &p.mu
	go p.answer()
	return p
}

func (p *publisher) read(body io.Reader, common []bus.EventOption) error {
	in := bufio.NewReaderSize(body, 64<<10)
	var long []byte
	for n := 1; ; n++ {
		line, err := readLine(in, &long, lineMax)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return errorAt(n, err)
		}
		if len(line) == 0 {
			continue
		}
		id, err := p.one(line, common)
		if err != nil {
			return errorAt(n, err)
		}
		if !p.wait(id) {
			return nil // answer has failed; finish returns why
		}
	}
}

// one publishes a line's event; the bus copies what it keeps.
func (p *publisher) one(line []byte, common []bus.EventOption) (EventID, error) {
	pub, err := ParsePublication(line)
	if err != nil {
		return EventID{}, errorf(CodeUsage, "%v", err)
	}
	opts := common
	if pub.Key != nil || pub.Headers != nil {
		opts = append([]bus.EventOption{}, common...)
		if pub.Key != nil {
			opts = append(opts, bus.Key(pub.Key))
		}
		for _, h := range pub.Headers {
			opts = append(opts, bus.Header(h.Name, h.Value))
		}
	}
	id, err := p.topic.PublishAsync(p.ctx, pub.Payload, opts...)
	if err != nil {
		return EventID{}, err
	}
	return EventID{Topic: id.Topic, Author: string(id.Author), Epoch: id.Epoch, Seq: id.Seq}, nil
}

func errorAt(n int, err error) error {
	e := *AsError(err)
	e.Message = "event " + strconv.Itoa(n) + ": " + e.Message
	return &e
}

// wait hands an ID to the answering goroutine; false if that has failed.
func (p *publisher) wait(id EventID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.unheld) >= unheldMax && p.err == nil {
		p.changed.Wait()
	}
	p.unheld = append(p.unheld, id)
	if len(p.unheld) == 1 {
		p.changed.Broadcast()
	}
	return p.err == nil
}

// finish waits until all that was published is held and answered.
func (p *publisher) finish() error {
	p.mu.Lock()
	p.ended = true
	p.changed.Broadcast()
	p.mu.Unlock()
	<-p.done
	p.cancel(nil)
	return p.err
}

func (p *publisher) answer() {
	defer close(p.done)
	var buf []byte
	var ids []EventID
	for {
		p.mu.Lock()
		for len(p.unheld) == 0 && !p.ended {
			p.changed.Wait()
		}
		ids, p.unheld = p.unheld, ids[:0]
		p.changed.Broadcast()
		p.mu.Unlock()
		if len(ids) == 0 {
			return
		}
		err := p.bus.Flush(p.ctx)
		if err == nil {
			buf = p.appendIDs(buf[:0], ids)
			err = p.send(buf)
		}
		if err != nil {
			p.cancel(err)
			p.mu.Lock()
			p.err = err
			p.changed.Broadcast()
			p.mu.Unlock()
			return
		}
	}
}

func (p *publisher) appendIDs(buf []byte, ids []EventID) []byte {
	last := ids[len(ids)-1]
	p.published = Published{Events: p.published.Events + uint64(len(ids)), Last: &last}
	if p.ids {
		for _, id := range ids {
			buf = AppendID(buf, id)
		}
	}
	return buf
}

func (p *publisher) send(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if _, err := p.w.Write(b); err != nil {
		return err
	}
	return p.rc.Flush()
}

// readLine returns the next line without its newline, valid until the next
// call. A line longer than the reader's buffer is gathered in long, up to limit bytes.
func readLine(in *bufio.Reader, long *[]byte, limit int) ([]byte, error) {
	line, err := in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		*long = (*long)[:0]
		for errors.Is(err, bufio.ErrBufferFull) {
			*long = append(*long, line...)
			if len(*long) > limit {
				return nil, errorf(CodeTooLarge, "too large: a line of more than %d bytes", limit)
			}
			line, err = in.ReadSlice('\n')
		}
		*long = append(*long, line...)
		line = *long
	}
	if errors.Is(err, io.EOF) && len(line) > 0 {
		err = nil
	}
	return bytes.TrimSuffix(line, []byte("\n")), err
}

// held answers once enough other nodes hold an event.
func (s *Server) held(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	id := bus.EventID{Topic: q.Get("topic"), Author: bus.PeerID(q.Get("author"))}
	var err1, err2, err3, err4 error
	id.Epoch, err1 = strconv.ParseUint(q.Get("epoch"), 10, 64)
	id.Seq, err2 = strconv.ParseUint(q.Get("seq"), 10, 64)
	nodes, err3 := strconv.Atoi(q.Get("nodes"))
	timeout, err4 := time.ParseDuration(q.Get("timeout"))
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		writeError(w, errorf(CodeUsage, "held: %v", err))
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	if err := s.bus.WaitHeld(ctx, id, nodes); err != nil {
		writeError(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
