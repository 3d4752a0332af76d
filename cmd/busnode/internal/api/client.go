package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Client talks to one node. Its methods are safe for concurrent use.
type Client struct {
	http *http.Client
}

// NewClient returns a client whose connections come from dial.
func NewClient(dial func(context.Context) (net.Conn, error)) *Client {
	return &Client{http: &http.Client{Transport: &http.Transport{
		DialContext:     func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
		WriteBufferSize: 64 << 10,
		ReadBufferSize:  64 << 10,
	}}}
}

// Close ends connections that are not in use.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Status asks what the node is and does.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	return s, c.call(ctx, http.MethodGet, "/v1/status", nil, nil, &s)
}

// Peers asks for the node's neighbours.
func (c *Client) Peers(ctx context.Context) (ps []Peer, err error) {
	return ps, c.call(ctx, http.MethodGet, "/v1/peers", nil, nil, &ps)
}

// Topics asks for the topics that the node knows.
func (c *Client) Topics(ctx context.Context) (ts []Topic, err error) {
	return ts, c.call(ctx, http.MethodGet, "/v1/topics", nil, nil, &ts)
}

// Durables asks for the named subscriptions.
func (c *Client) Durables(ctx context.Context) (ds []Durable, err error) {
	return ds, c.call(ctx, http.MethodGet, "/v1/durables", nil, nil, &ds)
}

// ForgetDurable removes a named subscription, its cursors and its interest.
func (c *Client) ForgetDurable(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodDelete, "/v1/durables", url.Values{"name": {name}}, nil, nil)
}

// Block makes the node refuse these peers and no others.
func (c *Client) Block(ctx context.Context, peers []string) error {
	return c.call(ctx, http.MethodPut, "/v1/blocked", nil, Blocked{Peers: peers}, nil)
}

// WaitHeld waits until that many other nodes hold the event, and with it all
// earlier ones of its author on the topic. After timeout the error's code is CodeTimeout.
func (c *Client) WaitHeld(ctx context.Context, id EventID, nodes int, timeout time.Duration) error {
	return c.call(ctx, http.MethodGet, "/v1/held", url.Values{
		"topic": {id.Topic}, "author": {id.Author}, "epoch": {strconv.FormatUint(id.Epoch, 10)},
		"seq": {strconv.FormatUint(id.Seq, 10)}, "nodes": {strconv.Itoa(nodes)}, "timeout": {timeout.String()},
	}, nil, nil)
}

func (c *Client) call(ctx context.Context, method, path string, q url.Values, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	resp, err := c.do(ctx, method, path, q, body)
	if err != nil {
		return err
	}
	defer closeBody(resp)
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return fmt.Errorf("answer of the node: %w", err)
	}
	return nil
}

// do returns a successful response, whose body the caller closes.
func (c *Client) do(ctx context.Context, method, path string, q url.Values, body io.Reader) (*http.Response, error) {
	u := url.URL{Scheme: "http", Host: "busnode", Path: path, RawQuery: q.Encode()}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, fmt.Errorf("ask the node: %w", unwrapURL(err))
	}
	if resp.StatusCode < 300 {
		return resp, nil
	}
	defer closeBody(resp)
	var reply errorReply
	if err := json.NewDecoder(resp.Body).Decode(&reply); err != nil || reply.Error == nil {
		return nil, fmt.Errorf("ask the node: %s %s: %s", method, path, resp.Status)
	}
	return nil, reply.Error
}

// closeBody lets go of an answer that has been read, or given up.
func closeBody(r *http.Response) { _ = r.Body.Close() }

// unwrapURL drops the URL, which names no place that a user could visit.
func unwrapURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// PublishRequest says what a stream of events is published on and with.
type PublishRequest struct {
	Topic   string
	Key     *string  // of every event
	Headers []string // NAME:VALUE, of every event
	IDs     bool     // answer with each ID, not only the last
}

// Publish publishes the events whose lines (see AppendPublication) events
// gives, and calls ids with lines of EventID, as they come back once their
// events are held by the node; they are valid during the call. It returns how many
// events the node holds and the ID of the last, also when it fails: what was
// published before an error stays published.
func (c *Client) Publish(
	ctx context.Context, r PublishRequest, events io.Reader, ids func(lines []byte) error,
) (Published, error) {
	q := url.Values{"topic": {r.Topic}}
	if r.Key != nil {
		q.Set("key", *r.Key)
	}
	q["header"] = r.Headers
	if !r.IDs {
		q.Set("ids", "none")
	}
	resp, err := c.do(ctx, http.MethodPost, "/v1/publish", q, events)
	if err != nil {
		return Published{}, err
	}
	defer closeBody(resp)
	in := bufio.NewReaderSize(resp.Body, 64<<10)
	var lines []byte
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return Published{}, streamEnd(ctx, err)
		}
		isID := bytes.HasPrefix(line, idPrefix)
		if isID {
			lines = append(lines, line...)
		}
		if len(lines) > 0 && (!isID || in.Buffered() == 0) {
			if err := ids(lines); err != nil {
				return Published{}, err
			}
			lines = lines[:0]
		}
		if !isID {
			return publishResult(line)
		}
	}
}

// publishResult reads the last line of a publish stream.
func publishResult(line []byte) (Published, error) {
	var end publishEnd
	if err := json.Unmarshal(line, &end); err != nil {
		return Published{}, fmt.Errorf("answer of the node: %w", err)
	}
	if end.Error != nil {
		return end.Published, end.Error
	}
	return end.Published, nil
}

// streamEnd explains why a stream ended before its last line.
func streamEnd(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errorf(CodeClosed, "the node has stopped")
	}
	return fmt.Errorf("answer of the node: %w", err)
}

// SubscribeRequest says what to subscribe to. Its fields are as the command
// line gives them.
type SubscribeRequest struct {
	Filter, From, Durable string
}

// Lines is an open subscription. It is used by one goroutine, but Ack may be
// called by another.
type Lines struct {
	client *Client
	name   string
	body   io.ReadCloser
	in     *bufio.Reader
	long   []byte
	ctx    context.Context //nolint:containedctx // of Subscribe, which bounds the stream
}

// Subscribe opens a subscription that ends with ctx or Close. The node has
// subscribed when it returns.
func (c *Client) Subscribe(ctx context.Context, r SubscribeRequest) (*Lines, error) {
	q := url.Values{"filter": {r.Filter}, "from": {r.From}, "durable": {r.Durable}}
	resp, err := c.do(ctx, http.MethodGet, "/v1/subscribe", q, nil)
	if err != nil {
		return nil, err
	}
	return &Lines{
		client: c, name: resp.Header.Get(subscriptionHeader), body: resp.Body,
		in: bufio.NewReaderSize(resp.Body, 256<<10), ctx: ctx,
	}, nil
}

var (
	idPrefix    = []byte(`{"topic":`)
	gapPrefix   = []byte(`{"gap":`)
	errorPrefix = []byte(`{"error":`)
)

// Next waits for the next line, without its newline. It is valid until the
// next call. The error is the node's, or says that the stream has ended.
func (l *Lines) Next() (line []byte, err error) {
	line, err = readLine(l.in, &l.long, answerMax)
	if err != nil {
		return nil, streamEnd(l.ctx, err)
	}
	if bytes.HasPrefix(line, errorPrefix) {
		parsed, err := ParseLine(line)
		if err != nil {
			return nil, err
		}
		return nil, parsed.Err
	}
	return line, nil
}

// Buffered reports whether another line, or a part of it, has arrived.
func (l *Lines) Buffered() bool { return l.in.Buffered() > 0 }

// IsGap reports whether a line tells of a gap and not of an event.
func IsGap(line []byte) bool { return bytes.HasPrefix(line, gapPrefix) }

// Ack tells the node that n more lines of a durable subscription have been
// dealt with. It returns when the cursor has moved.
func (l *Lines) Ack(ctx context.Context, n int) error {
	return l.client.call(ctx, http.MethodPost, "/v1/ack",
		url.Values{"subscription": {l.name}, "lines": {strconv.Itoa(n)}}, nil, nil)
}

// Close ends the subscription, and returns when the node has let go of it.
func (l *Lines) Close(ctx context.Context) error {
	err := l.body.Close() // first, so that the node is not held up by writing to us
	return errors.Join(err,
		l.client.call(ctx, http.MethodDelete, "/v1/subscribe", url.Values{"subscription": {l.name}}, nil, nil))
}
