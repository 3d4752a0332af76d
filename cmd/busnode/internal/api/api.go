// Package api is how commands talk to a running node: HTTP over the Unix
// socket in the node's data directory, JSON for results and a line of JSON an
// item for streams.
//
//	GET  /v1/status                                    Status
//	GET  /v1/peers                                     []Peer
//	GET  /v1/topics                                    []Topic
//	POST /v1/publish?topic=T[&key=K][&header=N:V]…     lines of Publication in, of EventID out, once the events are held
//	         [&ids=none]                               only the last ID out
//	GET  /v1/held?topic=…&author=…&epoch=…&seq=…       answers once that many other nodes hold the event
//	         &nodes=N&timeout=D
//	GET  /v1/subscribe?filter=F[&from=P][&durable=N]   lines of Event and Gap; Busnode-Subscription names the stream
//	DELETE /v1/subscribe?subscription=S                ends a stream; answers once its durable name is free
//	POST /v1/ack?subscription=S&lines=N                the client has dealt with N more lines of a durable subscription
//	GET  /v1/durables, DELETE /v1/durables?name=N      named subscriptions
//	PUT  /v1/blocked                                   {"peers": […]}: refuse these peers and no others
//
// An answer that is no success holds {"error": Error}; so does the last line
// of a stream that failed.
package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/busnode/busnode/bus"
	"github.com/busnode/busnode/gossip/wire"
)

// Status says what a node is and does.
type Status struct {
	ID       string            `json:"id"`
	Network  string            `json:"network"`
	Addrs    []string          `json:"addrs"`
	Version  string            `json:"version"`
	UptimeS  float64           `json:"uptime_s"`
	Topics   int               `json:"topics"`
	Peers    int               `json:"peers"`
	Log      LogStatus         `json:"log"`
	Counters map[string]uint64 `json:"counters"`

	Multicast Multicast `json:"multicast"`
}

// LogStatus sums up a node's log.
type LogStatus struct {
	Events  uint64 `json:"events"`
	Bytes   int64  `json:"bytes"`
	Durable bool   `json:"durable"` // survives the process
}

// Peer is a neighbour of a node.
type Peer struct {
	ID     string   `json:"id"`
	Addrs  []string `json:"addrs"`
	Path   string   `json:"path"`
	Relay  *string  `json:"relay"` // null if the path is direct
	RTTMs  float64  `json:"rtt_ms"`
	Topics []string `json:"topics"`
	UpS    float64  `json:"up_s"`
}

// Topic is what a node knows of a topic.
type Topic struct {
	Topic       string  `json:"topic"`
	Events      uint64  `json:"events"`
	Bytes       int64   `json:"bytes"`
	FirstOffset uint64  `json:"first_offset"`
	LastOffset  *uint64 `json:"last_offset"` // null if none is held
	Authors     int     `json:"authors"`
	Neighbours  int     `json:"neighbours"`
	Lag         uint64  `json:"lag"`
}

// Durable is a named subscription.
type Durable struct {
	Name   string `json:"name"`
	Filter string `json:"filter"`
}

// Blocked is the set of peers that a node refuses.
type Blocked struct {
	Peers []string `json:"peers"`
}

// Published is the last line of a publish stream.
type Published struct {
	Events uint64   `json:"events"`
	Last   *EventID `json:"last"`
}

// Code sorts errors by what the caller can do about them.
type Code string

// The codes. Commands turn CodeUsage and CodeTimeout into exit codes of their own.
const (
	CodeUsage    Code = "usage"     // the request is wrong: a bad topic, filter, place
	CodeTimeout  Code = "timeout"   // not done in time
	CodeTooLarge Code = "too_large" // an event exceeds the limit
	CodeNotFound Code = "not_found"
	CodeClosed   Code = "closed" // the node is stopping
	CodeFailed   Code = "failed"
)

// Error is an error as it crosses the socket.
type Error struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
}

func (e *Error) Error() string { return e.Message }

func errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// AsError returns err as it crosses the socket.
func AsError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	message := err.Error()
	if errors.Is(err, bus.ErrBacklog) {
		message = backlogHint // nothing but the user's doing, or another node's, ends it
	}
	return &Error{Code: codeOf(err), Message: message}
}

const backlogHint = "the log is full of events that no other node holds yet: " +
	"try again when one has them, or raise --retain-bytes"

func codeOf(err error) Code {
	switch {
	case errors.Is(err, bus.ErrTopic), errors.Is(err, bus.ErrFilter), errors.Is(err, bus.ErrConfig):
		return CodeUsage
	case errors.Is(err, context.DeadlineExceeded):
		return CodeTimeout
	case errors.Is(err, bus.ErrTooLarge):
		return CodeTooLarge
	case errors.Is(err, bus.ErrNotFound):
		return CodeNotFound
	case errors.Is(err, bus.ErrClosed):
		return CodeClosed
	}
	return CodeFailed
}

func (e *Error) httpStatus() int {
	switch e.Code {
	case CodeUsage:
		return http.StatusBadRequest
	case CodeTimeout:
		return http.StatusGatewayTimeout
	case CodeTooLarge:
		return http.StatusRequestEntityTooLarge
	case CodeNotFound:
		return http.StatusNotFound
	case CodeClosed:
		return http.StatusServiceUnavailable
	case CodeFailed:
	}
	return http.StatusInternalServerError
}

// lineMax bounds a line to publish: a payload of the largest size a batch can
// hold, in base64 or with each byte escaped once.
const lineMax = 2*wire.BodyMaxBytes + 64<<10

// answerMax bounds a line of a subscription, where every byte of a payload may be escaped as \u00XX.
const answerMax = 7 * wire.BodyMaxBytes

const (
	linesType          = "application/x-ndjson"
	subscriptionHeader = "Busnode-Subscription"
)
